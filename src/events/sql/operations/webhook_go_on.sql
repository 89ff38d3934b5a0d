-- Does the next part, up to p_limit rows, of what a change of an endpoint (NULL: of any one) has left to do. Of a deleted one
-- it deletes the lanes, then the deliveries, then the endpoint. Of one that is switched on again it makes the lanes due, by
-- user: resuming_after is how far it came, NULL when all is done. Returns whether there was anything to do.
CREATE OR REPLACE FUNCTION webhook_go_on(p_endpoint bigint, p_limit integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_endpoint webhook_endpoints;
  v_done integer;
  v_last varchar;
  v_last_id bigint;
BEGIN
  IF p_endpoint IS NULL THEN
    -- What another instance has in hand is left to it.
    SELECT id INTO p_endpoint FROM webhook_endpoints WHERE deleted_at IS NOT NULL OR resuming_after IS NOT NULL
     ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
  END IF;
  -- Endpoint, lanes, deliveries, as everywhere (webhook_settle).
  SELECT * INTO v_endpoint FROM webhook_endpoints WHERE id = p_endpoint FOR NO KEY UPDATE;
  IF v_endpoint.deleted_at IS NOT NULL THEN
    -- A publisher that has not seen the deletion is waited for.
    PERFORM FROM webhook_endpoints WHERE id = p_endpoint FOR UPDATE;
    -- By ranges and not by a join: its plan may have been made while there were few rows.
    SELECT count(*), max(account_id) INTO v_done, v_last FROM (
      SELECT account_id FROM webhook_lanes WHERE endpoint_id = p_endpoint ORDER BY account_id LIMIT p_limit FOR UPDATE) part;
    DELETE FROM webhook_lanes WHERE endpoint_id = p_endpoint AND account_id <= v_last;
    IF v_done = p_limit THEN RETURN TRUE; END IF;
    SELECT count(*), max(id) INTO v_done, v_last_id FROM (
      SELECT id FROM webhook_deliveries WHERE endpoint_id = p_endpoint ORDER BY id LIMIT p_limit) part;
    DELETE FROM webhook_deliveries WHERE endpoint_id = p_endpoint AND id <= v_last_id;
    IF v_done = p_limit THEN RETURN TRUE; END IF;
    DELETE FROM webhook_endpoints WHERE id = p_endpoint;
  ELSIF v_endpoint.resuming_after IS NOT NULL THEN
    SELECT count(*), max(account_id) INTO v_done, v_last FROM (
      SELECT account_id FROM webhook_lanes WHERE endpoint_id = p_endpoint AND account_id > v_endpoint.resuming_after
       ORDER BY account_id LIMIT p_limit FOR UPDATE) part;
    -- What is under way keeps its lease: it must not be sent a second time beside it.
    UPDATE webhook_lanes
       SET attempts = 0, next_attempt_at = CASE WHEN lease IS NULL THEN clock_now() ELSE next_attempt_at END
     WHERE endpoint_id = p_endpoint AND account_id > v_endpoint.resuming_after AND account_id <= v_last
       AND (attempts > 0 OR next_attempt_at > clock_now());
    UPDATE webhook_endpoints SET resuming_after = CASE WHEN v_done = p_limit THEN v_last END WHERE id = p_endpoint;
    PERFORM pg_notify('accounting_events', 'published');
  ELSE
    RETURN FALSE;
  END IF;
  RETURN TRUE;
END
$$;
