-- A gateway's team that was a deleted unit's is the whole organisation's. No foreign key does it: on a cluster each server has
-- a copy of gateway_accounts, and units lie with their accounts.
CREATE OR REPLACE FUNCTION gateway_unit_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE gateway_accounts SET unit_id = NULL WHERE account_id = OLD.account_id AND unit_id = OLD.id;
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER gateway_unit_deleted AFTER DELETE ON units FOR EACH ROW EXECUTE FUNCTION gateway_unit_deleted();
