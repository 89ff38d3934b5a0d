-- Gives up to p_limit events of the outbox their ids, in the order in which they were written, and a delivery for each
-- webhook endpoint that wants them. One publisher at a time: so ids become visible in their order, and a reader who has
-- read up to one of them has missed none. Returns how many it published.
CREATE OR REPLACE FUNCTION events_publish(p_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_endpoints bigint[];
  v_accounts varchar[];
  v_ids bigint[];
  v_types varchar[];
  v_times timestamptz[];
  v_data jsonb[];
BEGIN
  -- Held until after the commit: the next publisher sees what this one has done.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('events_publish', 0)) THEN RETURN 0; END IF;
  -- Nothing else takes from the outbox: what is read here is what is deleted.
  SELECT array_agg(account_id ORDER BY id, account_id), array_agg(id ORDER BY id, account_id),
         array_agg(type::varchar ORDER BY id, account_id), array_agg(occurred_at ORDER BY id, account_id),
         array_agg(data ORDER BY id, account_id)
    INTO v_accounts, v_ids, v_types, v_times, v_data
    FROM (SELECT account_id, id, type, occurred_at, data FROM event_outbox ORDER BY id, account_id LIMIT p_limit) first;
  IF v_ids IS NULL THEN RETURN 0; END IF;
  DELETE FROM event_outbox o USING unnest(v_accounts, v_ids) AS taken (account_id, id)
   WHERE o.account_id = taken.account_id AND o.id = taken.id;
  -- Before the lanes, as everywhere (webhook_settle): an endpoint that is being deleted is waited for here.
  SELECT coalesce(array_agg(id), '{}') INTO v_endpoints
    FROM (SELECT id FROM webhook_endpoints WHERE is_active ORDER BY id FOR KEY SHARE) active;
  WITH published AS (
    INSERT INTO events (account_id, type, occurred_at, data)
    SELECT account_id, type, occurred_at, data
      FROM unnest(v_accounts, v_types, v_times, v_data) WITH ORDINALITY AS taken (account_id, type, occurred_at, data, n)
     ORDER BY n
    RETURNING id, account_id, type
  ), deliveries AS (
    INSERT INTO webhook_deliveries (endpoint_id, account_id, event_id)
    SELECT e.id, p.account_id, p.id FROM published p
      JOIN webhook_endpoints e ON e.id = ANY (v_endpoints) AND e.is_active AND (e.event_types IS NULL OR p.type = ANY (e.event_types))
    RETURNING endpoint_id, account_id
  )
  -- The lane is locked also when it is there already: what closes it looks again for deliveries afterwards.
  INSERT INTO webhook_lanes AS l (endpoint_id, account_id)
  SELECT DISTINCT endpoint_id, account_id FROM deliveries ORDER BY 1, 2
  ON CONFLICT (endpoint_id, account_id) DO UPDATE SET next_attempt_at = l.next_attempt_at;
  PERFORM pg_notify('accounting_events', 'published');
  RETURN cardinality(v_ids);
END
$$;
