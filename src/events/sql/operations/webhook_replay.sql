-- Repeats deliveries of an endpoint: one of them, whatever its state (p_delivery), or all that are dead, and all events of
-- its types that it was never to get because it was switched off, since a time (p_since): the oldest first, p_limit at most.
-- Of the events since then it looks at those after the id p_after (NULL: at all), p_most at most, so that a call is short
-- however many there are. Returns {replayed, after}: how many will be delivered, and the last event looked at where there
-- may be more. NULL for a delivery that is not there, and for an endpoint that is not there or is switched off.
CREATE OR REPLACE FUNCTION webhook_replay(
  p_endpoint bigint, p_delivery bigint, p_since timestamptz, p_after bigint, p_limit integer, p_most integer
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_endpoint webhook_endpoints;
  v_after bigint := p_after;
  v_last bigint;
  v_has_more boolean := FALSE;
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
    -- Ids are given in the order of publication. Without an event since then nothing comes after NULL.
    IF v_after IS NULL THEN
      SELECT id - 1 INTO v_after FROM events WHERE published_at >= p_since ORDER BY published_at, id LIMIT 1;
    END IF;
    SELECT max(id), count(*) = p_most INTO v_last, v_has_more
      FROM (SELECT id FROM events WHERE id > v_after ORDER BY id LIMIT p_most) looked;
    -- A delivery is looked up for each event (LIMIT: no join), for the endpoint may have had millions. Events that
    -- events_forget has in hand are gone: nothing waits for them.
    SELECT coalesce(array_agg(delivery) FILTER (WHERE delivery IS NOT NULL), '{}'),
           coalesce(array_agg(account_id) FILTER (WHERE delivery IS NOT NULL), '{}'),
           coalesce(array_agg(id) FILTER (WHERE delivery IS NULL), '{}'),
           coalesce(array_agg(account_id) FILTER (WHERE delivery IS NULL), '{}'),
           CASE WHEN count(*) = p_limit THEN max(id) ELSE v_last END, v_has_more OR count(*) = p_limit
      INTO v_dead, v_dead_users, v_missed, v_missed_users, v_last, v_has_more
      FROM (
        SELECT v.id, v.account_id, d.id AS delivery FROM events v
          LEFT JOIN LATERAL (SELECT id, status FROM webhook_deliveries
                              WHERE account_id = v.account_id AND event_id = v.id AND endpoint_id = p_endpoint LIMIT 1) d ON TRUE
         WHERE v.id > v_after AND v.id <= v_last AND v.published_at >= p_since
           AND CASE WHEN d.id IS NOT NULL THEN d.status = 'dead'
                    ELSE v.published_at >= v_endpoint.created_at
                         AND (v_endpoint.event_types IS NULL OR v.type = ANY (v_endpoint.event_types)) END
         ORDER BY v.id LIMIT p_limit FOR KEY SHARE OF v SKIP LOCKED) found;
  END IF;
  INSERT INTO webhook_lanes AS l (endpoint_id, account_id)
  SELECT DISTINCT p_endpoint, u FROM unnest(v_dead_users || v_missed_users) u ORDER BY 2
  ON CONFLICT (endpoint_id, account_id) DO UPDATE
    SET attempts = 0, next_attempt_at = CASE WHEN l.lease IS NULL THEN excluded.next_attempt_at ELSE l.next_attempt_at END;
  UPDATE webhook_deliveries d SET status = 'pending', delivered_at = NULL
    FROM unnest(v_dead_users, v_dead) AS dead (account_id, id) WHERE d.account_id = dead.account_id AND d.id = dead.id;
  INSERT INTO webhook_deliveries (endpoint_id, account_id, event_id)
  SELECT p_endpoint, account_id, id FROM unnest(v_missed_users, v_missed) AS missed (account_id, id) ORDER BY id;
  IF cardinality(v_dead || v_missed) > 0 THEN PERFORM pg_notify('accounting_events', 'published'); END IF;
  RETURN jsonb_build_object('replayed', cardinality(v_dead || v_missed), 'after', CASE WHEN v_has_more THEN v_last END);
END
$$;
