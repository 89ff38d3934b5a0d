-- Repeats deliveries of an endpoint: one of them, whatever its state (p_delivery), or all that are dead,
-- and all events of its types that it was never to get because it was switched off, since a time (p_since), p_limit at
-- most. Returns how many will be delivered; NULL for a delivery that is not there, and for an endpoint that is not there
-- or is switched off.
CREATE OR REPLACE FUNCTION webhook_replay(p_endpoint bigint, p_delivery bigint, p_since timestamptz, p_limit integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_endpoint webhook_endpoints;
  v_dead bigint[];
  v_dead_users varchar[];
  v_missed bigint[] := '{}';
  v_missed_users varchar[] := '{}';
BEGIN
  -- Endpoint, lanes, deliveries, as everywhere (webhook_settle).
  SELECT * INTO v_endpoint FROM webhook_endpoints WHERE id = p_endpoint AND is_active FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF p_delivery IS NOT NULL THEN
    SELECT array_agg(id), array_agg(account_id) INTO v_dead, v_dead_users
      FROM webhook_deliveries WHERE endpoint_id = p_endpoint AND id = p_delivery;
    IF v_dead IS NULL THEN RETURN NULL; END IF;
  ELSE
    -- Events that events_forget has in hand are gone: nothing waits for them.
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(account_id), '{}') INTO v_dead, v_dead_users FROM (
      SELECT d.id, d.account_id FROM webhook_deliveries d JOIN events v ON v.account_id = d.account_id AND v.id = d.event_id
       WHERE d.endpoint_id = p_endpoint AND d.status = 'dead' AND v.published_at >= p_since
       ORDER BY d.event_id LIMIT p_limit FOR KEY SHARE OF v SKIP LOCKED) dead;
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(account_id), '{}') INTO v_missed, v_missed_users FROM (
      SELECT v.id, v.account_id FROM events v
       WHERE v.published_at >= greatest(p_since, v_endpoint.created_at)
         AND (v_endpoint.event_types IS NULL OR v.type = ANY (v_endpoint.event_types))
         AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d
                          WHERE d.endpoint_id = p_endpoint AND d.account_id = v.account_id AND d.event_id = v.id)
       ORDER BY v.id LIMIT p_limit - cardinality(v_dead) FOR KEY SHARE SKIP LOCKED) missed;
  END IF;
  INSERT INTO webhook_lanes AS l (endpoint_id, account_id)
  SELECT DISTINCT p_endpoint, u FROM unnest(v_dead_users || v_missed_users) u ORDER BY 2
  ON CONFLICT (endpoint_id, account_id) DO UPDATE
    SET attempts = 0, next_attempt_at = CASE WHEN l.lease IS NULL THEN clock_timestamp() ELSE l.next_attempt_at END;
  UPDATE webhook_deliveries d SET status = 'pending', delivered_at = NULL
    FROM unnest(v_dead_users, v_dead) AS dead (account_id, id) WHERE d.account_id = dead.account_id AND d.id = dead.id;
  INSERT INTO webhook_deliveries (endpoint_id, account_id, event_id)
  SELECT p_endpoint, account_id, id FROM unnest(v_missed_users, v_missed) AS missed (account_id, id) ORDER BY id;
  IF cardinality(v_dead || v_missed) > 0 THEN PERFORM pg_notify('accounting_events', 'published'); END IF;
  RETURN cardinality(v_dead || v_missed);
END
$$;
