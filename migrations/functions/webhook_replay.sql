-- Lets deliveries of an endpoint be made again: one of them whatever became of it (p_delivery), or all that are dead,
-- and all events of its types that it was never to get because it was switched off, since a time (p_since), p_limit at
-- most. Answers how many will be delivered; NULL for a delivery that is not there.
CREATE OR REPLACE FUNCTION webhook_replay(p_endpoint bigint, p_delivery bigint, p_since timestamptz, p_limit integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_users varchar[];
  v_more varchar[] := '{}';
BEGIN
  IF p_delivery IS NOT NULL THEN
    IF NOT EXISTS (SELECT 1 FROM webhook_deliveries WHERE endpoint_id = p_endpoint AND id = p_delivery) THEN RETURN NULL; END IF;
    WITH again AS (
      UPDATE webhook_deliveries SET status = 'pending', delivered_at = NULL
       WHERE endpoint_id = p_endpoint AND id = p_delivery RETURNING user_id)
    SELECT array_agg(user_id) INTO v_users FROM again;
  ELSE
    WITH dead AS (
      SELECT d.user_id, d.id FROM webhook_deliveries d JOIN events v ON v.user_id = d.user_id AND v.id = d.event_id
       WHERE d.endpoint_id = p_endpoint AND d.status = 'dead' AND v.published_at >= p_since
       ORDER BY d.event_id LIMIT p_limit
    ), again AS (
      UPDATE webhook_deliveries d SET status = 'pending' FROM dead
       WHERE d.endpoint_id = p_endpoint AND d.user_id = dead.user_id AND d.id = dead.id RETURNING d.user_id)
    SELECT coalesce(array_agg(user_id), '{}') INTO v_users FROM again;
    WITH missed AS (
      INSERT INTO webhook_deliveries (endpoint_id, user_id, event_id)
      SELECT e.id, v.user_id, v.id FROM webhook_endpoints e
        JOIN events v ON v.published_at >= greatest(p_since, e.created_at)
                     AND (e.event_types IS NULL OR v.type = ANY (e.event_types))
       WHERE e.id = p_endpoint
         AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d
                          WHERE d.endpoint_id = e.id AND d.user_id = v.user_id AND d.event_id = v.id)
       ORDER BY v.id LIMIT p_limit - cardinality(v_users)
      ON CONFLICT DO NOTHING RETURNING user_id)
    SELECT coalesce(array_agg(user_id), '{}') INTO v_more FROM missed;
  END IF;
  v_users := v_users || v_more;
  INSERT INTO webhook_lanes AS l (endpoint_id, user_id)
  SELECT DISTINCT p_endpoint, u FROM unnest(v_users) u ORDER BY 2
  ON CONFLICT (endpoint_id, user_id) DO UPDATE
    SET attempts = 0, next_attempt_at = CASE WHEN l.lease IS NULL THEN clock_timestamp() ELSE l.next_attempt_at END;
  IF cardinality(v_users) > 0 THEN PERFORM pg_notify('accounting_events', 'published'); END IF;
  RETURN cardinality(v_users);
END
$$;
