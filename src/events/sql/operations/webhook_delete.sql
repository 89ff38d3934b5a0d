-- Deletes an endpoint with what it still had to get, up to p_limit of its deliveries at a time, so that no publisher waits
-- long for the endpoint's row. From the first call on nothing more goes there, and what is under way finds its lane gone.
-- Returns whether all is deleted; NULL for an endpoint that is not there.
CREATE OR REPLACE FUNCTION webhook_delete(p_endpoint bigint, p_limit integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_deleted integer;
BEGIN
  PERFORM FROM webhook_endpoints WHERE id = p_endpoint FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  UPDATE webhook_endpoints SET is_active = FALSE, updated_at = clock_timestamp() WHERE id = p_endpoint AND is_active;
  PERFORM FROM webhook_lanes WHERE endpoint_id = p_endpoint ORDER BY account_id FOR UPDATE;
  DELETE FROM webhook_lanes WHERE endpoint_id = p_endpoint;
  DELETE FROM webhook_deliveries d
   USING (SELECT account_id, id FROM webhook_deliveries WHERE endpoint_id = p_endpoint ORDER BY id LIMIT p_limit) part
   WHERE d.account_id = part.account_id AND d.id = part.id;
  GET DIAGNOSTICS v_deleted = ROW_COUNT;
  IF v_deleted = p_limit THEN RETURN FALSE; END IF;
  DELETE FROM webhook_endpoints WHERE id = p_endpoint;
  RETURN TRUE;
END
$$;
