-- An API key that was revoked never works again: refused also to the table's owner. The service's role may write the columns
-- that end keys; with ck_api_keys_whole, none is active without this one.
CREATE OR REPLACE FUNCTION api_key_stays_ended() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'API key % has ended', OLD.id USING ERRCODE = 'restrict_violation';
END
$$;
CREATE OR REPLACE TRIGGER api_keys_stay_ended BEFORE UPDATE OF revoked_at ON api_keys
  FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL) EXECUTE FUNCTION api_key_stays_ended();
