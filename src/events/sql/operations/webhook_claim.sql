-- Takes up to p_limit lanes in hand that are due, for p_lease_seconds: when the process that has them dies, others take
-- them after that. p_busy are endpoints that get no more at once. Returns each lane with where it goes and the first of
-- its deliveries, which is NULL when there is none left.
CREATE OR REPLACE FUNCTION webhook_claim(p_limit integer, p_lease_seconds integer, p_busy bigint[]) RETURNS SETOF jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  -- What a crash of the database takes away is delivered again: exactly once is not promised, and waiting for the disk
  -- would cost each delivery more than all the rest.
  SELECT set_config('synchronous_commit', 'off', TRUE);
  WITH due AS MATERIALIZED (
    SELECT l.endpoint_id, l.account_id FROM webhook_lanes l JOIN webhook_endpoints e ON e.id = l.endpoint_id
     WHERE l.next_attempt_at <= now() AND e.is_active AND l.endpoint_id <> ALL (p_busy)
     ORDER BY l.next_attempt_at LIMIT p_limit FOR NO KEY UPDATE OF l SKIP LOCKED
  ), claimed AS (
    UPDATE webhook_lanes l
       SET lease = gen_random_uuid(), next_attempt_at = now() + make_interval(secs => p_lease_seconds)
      FROM due WHERE l.endpoint_id = due.endpoint_id AND l.account_id = due.account_id
    RETURNING l.endpoint_id, l.account_id, l.lease
  )
  SELECT jsonb_build_object(
           'endpointId', c.endpoint_id, 'accountId', c.account_id, 'lease', c.lease, 'url', e.url,
           'secrets', array_remove(ARRAY[e.secret, CASE WHEN e.previous_secret_until > now() THEN e.previous_secret END], NULL),
           'deliveryId', d.id, 'event', d.event)
    FROM claimed c JOIN webhook_endpoints e ON e.id = c.endpoint_id LEFT JOIN LATERAL (
      SELECT d.id, jsonb_build_object('id', v.id, 'type', v.type, 'accountId', v.account_id, 'userId', v.account_id,
                                      'occurredAt', iso_time(v.occurred_at), 'data', v.data) AS event
        FROM webhook_deliveries d JOIN events v ON v.account_id = d.account_id AND v.id = d.event_id
       WHERE d.endpoint_id = c.endpoint_id AND d.account_id = c.account_id AND d.status = 'pending'
       ORDER BY d.event_id LIMIT 1) d ON TRUE
$$;
