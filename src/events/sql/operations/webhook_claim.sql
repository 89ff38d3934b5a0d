-- Takes lanes in hand that are due, for p_lease_seconds: when the process that has them dies, others take them after that.
-- Returns each lane with where it goes and the first of its deliveries, which is NULL when there is none left.
--
-- p_free is how many deliveries the process has room for, p_under_way how many it has under way by endpoint. An endpoint
-- gets another one only while more of the room is free than it has itself: so no endpoint, however slow, takes the last of
-- it from one that has none. Those whose last attempt failed get one each and p_failing in all, and take turns: they may
-- hold what they have for as long as a delivery may take.
CREATE OR REPLACE FUNCTION webhook_claim(p_free integer, p_failing integer, p_lease_seconds integer, p_under_way jsonb)
RETURNS SETOF jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  -- What a crash of the database takes away is delivered again: exactly once is not promised, and waiting for the disk
  -- would cost each delivery more than all the rest.
  SELECT set_config('synchronous_commit', 'off', TRUE);
  WITH endpoints AS MATERIALIZED (
    SELECT e.id, e.failing_since IS NOT NULL AS is_failing, coalesce((p_under_way ->> e.id::text)::integer, 0) AS under_way
      FROM webhook_endpoints e WHERE e.is_active
  ), due AS MATERIALIZED (
    SELECT e.is_failing, e.under_way, l.*, row_number() OVER (PARTITION BY l.endpoint_id ORDER BY l.next_attempt_at) AS n,
           CASE WHEN e.is_failing
                THEN (SELECT max(d.last_attempt_at) FROM webhook_deliveries d WHERE d.endpoint_id = e.id) END AS tried_at
      FROM endpoints e CROSS JOIN LATERAL (
        SELECT endpoint_id, account_id, next_attempt_at FROM webhook_lanes
         WHERE endpoint_id = e.id AND next_attempt_at <= now() ORDER BY next_attempt_at
         LIMIT greatest(CASE WHEN e.is_failing THEN 1 - e.under_way ELSE (p_free + 1 - e.under_way) / 2 END, 0)
           FOR NO KEY UPDATE SKIP LOCKED) l
  ), allowed AS (
    SELECT endpoint_id, account_id, next_attempt_at, under_way + n AS place
      FROM (SELECT *, row_number() OVER (PARTITION BY is_failing ORDER BY tried_at NULLS FIRST) AS turn FROM due) turns
     WHERE NOT is_failing OR turn <= p_failing - (SELECT coalesce(sum(under_way), 0) FROM endpoints WHERE is_failing)
  ), taken AS (
    SELECT endpoint_id, account_id FROM (
      SELECT *, row_number() OVER (ORDER BY place, next_attempt_at) AS n FROM allowed) ordered
     WHERE n + place <= p_free + 1
  ), claimed AS (
    UPDATE webhook_lanes l
       SET lease = gen_random_uuid(), next_attempt_at = now() + make_interval(secs => p_lease_seconds)
      FROM taken WHERE l.endpoint_id = taken.endpoint_id AND l.account_id = taken.account_id
    RETURNING l.endpoint_id, l.account_id, l.lease
  )
  SELECT jsonb_build_object(
           'endpointId', c.endpoint_id, 'accountId', c.account_id, 'lease', c.lease, 'url', e.url,
           'secrets', array_remove(ARRAY[e.secret, CASE WHEN e.previous_secret_until > now() THEN e.previous_secret END], NULL),
           'deliveryId', d.id, 'event', d.event)
    FROM claimed c JOIN webhook_endpoints e ON e.id = c.endpoint_id LEFT JOIN LATERAL (
      SELECT d.id, jsonb_build_object('id', v.id, 'type', v.type, 'accountId', v.account_id, 'userId', coalesce(v.data ->> 'userId', v.account_id),
                                      'occurredAt', iso_time(v.occurred_at), 'data', v.data) AS event
        FROM webhook_deliveries d JOIN events v ON v.account_id = d.account_id AND v.id = d.event_id
       WHERE d.endpoint_id = c.endpoint_id AND d.account_id = c.account_id AND d.status = 'pending'
       ORDER BY d.event_id LIMIT 1) d ON TRUE
$$;
