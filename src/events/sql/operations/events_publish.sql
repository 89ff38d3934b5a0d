-- Gives up to p_limit events of the outbox their ids, in the order in which they were written, and a delivery for each
-- webhook endpoint that wants them. One publisher at a time: so ids become visible in their order, and a reader who has
-- read up to one of them has missed none. Returns how many it published.
CREATE OR REPLACE FUNCTION events_publish(p_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_endpoints bigint[];
  v_published integer;
BEGIN
  -- Held until after the commit: the next publisher sees what this one has done.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('events_publish', 0)) THEN RETURN 0; END IF;
  IF NOT EXISTS (SELECT 1 FROM event_outbox) THEN RETURN 0; END IF;
  -- Before the lanes, as everywhere (webhook_settle): an endpoint that is being deleted is waited for here.
  SELECT coalesce(array_agg(id), '{}') INTO v_endpoints
    FROM (SELECT id FROM webhook_endpoints WHERE is_active ORDER BY id FOR KEY SHARE) active;
  WITH taken AS (
    DELETE FROM event_outbox WHERE id IN (SELECT id FROM event_outbox ORDER BY id LIMIT p_limit) RETURNING *
  ), published AS (
    INSERT INTO events (account_id, type, occurred_at, data)
    SELECT account_id, type, occurred_at, data FROM taken ORDER BY id
    RETURNING id, account_id, type
  ), deliveries AS (
    INSERT INTO webhook_deliveries (endpoint_id, account_id, event_id)
    SELECT e.id, p.account_id, p.id FROM published p
      JOIN webhook_endpoints e ON e.id = ANY (v_endpoints) AND e.is_active AND (e.event_types IS NULL OR p.type = ANY (e.event_types))
    RETURNING endpoint_id, account_id
  ), lanes AS (
    -- The lane is locked also when it is there already: what closes it looks again for deliveries afterwards.
    INSERT INTO webhook_lanes AS l (endpoint_id, account_id)
    SELECT DISTINCT endpoint_id, account_id FROM deliveries ORDER BY 1, 2
    ON CONFLICT (endpoint_id, account_id) DO UPDATE SET next_attempt_at = l.next_attempt_at
  )
  SELECT count(*) INTO v_published FROM published;
  IF v_published > 0 THEN PERFORM pg_notify('accounting_events', 'published'); END IF;
  RETURN v_published;
END
$$;
