-- Emits that an API key was created or has ended. A key for a gateway is made when it is live there; one that never
-- was emits nothing. A rotation without overlap ends the old key at once.
CREATE OR REPLACE FUNCTION api_key_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_data jsonb := api_key_facts(NEW.id, NEW.name, NEW.key_hint, NEW.expires_at);
  v_was_live boolean;
  v_is_live boolean := coalesce(NEW.gateway_state, 'live') = 'live';
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF v_is_live THEN PERFORM write_event(NEW.account_id, 'api_key.created', v_data); END IF;
    RETURN NULL;
  END IF;
  v_was_live := coalesce(OLD.gateway_state, 'live') NOT IN ('pending', 'opening', 'failed');
  IF NEW.is_active AND v_is_live AND NOT v_was_live THEN
    PERFORM write_event(NEW.account_id, 'api_key.created', v_data);
  ELSIF OLD.is_active AND NOT NEW.is_active AND v_was_live THEN
    PERFORM write_event(NEW.account_id, 'api_key.revoked', v_data || '{"reason": "revoked"}');
  ELSIF NEW.is_active AND v_was_live AND NEW.expires_at <= clock_timestamp()
        AND (OLD.expires_at IS NULL OR OLD.expires_at > clock_timestamp()) THEN
    PERFORM write_event(NEW.account_id, 'api_key.revoked', v_data || '{"reason": "rotated"}');
    -- The event has its reason, so none is emitted for the expiry as well.
    UPDATE api_keys SET end_announced = NEW.expires_at WHERE account_id = NEW.account_id AND id = NEW.id;
  END IF;
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER api_keys_created AFTER INSERT ON api_keys
  FOR EACH ROW EXECUTE FUNCTION api_key_changed();
CREATE OR REPLACE TRIGGER api_keys_changed AFTER UPDATE OF is_active, expires_at, gateway_state ON api_keys
  FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active OR OLD.expires_at IS DISTINCT FROM NEW.expires_at
                     OR OLD.gateway_state IS DISTINCT FROM NEW.gateway_state)
  EXECUTE FUNCTION api_key_changed();
