-- Deletes up to p_limit events published more than p_days ago, and their deliveries. What an active endpoint still waits
-- for stays. Returns how many.
CREATE OR REPLACE FUNCTION events_forget(p_days integer, p_limit integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{days,limit}', ARRAY[
    p_days BETWEEN 1 AND 36500,
    p_limit BETWEEN 1 AND 100000]);
  -- Before the deliveries, as everywhere (webhook_settle).
  SELECT FROM webhook_endpoints ORDER BY id FOR KEY SHARE;
  WITH old AS (
    SELECT account_id, id FROM events e
     WHERE published_at <= now() - make_interval(days => p_days)
       AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d JOIN webhook_endpoints w ON w.id = d.endpoint_id
                        WHERE d.account_id = e.account_id AND d.event_id = e.id AND d.status = 'pending' AND w.is_active)
     ORDER BY published_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM events e USING old WHERE e.account_id = old.account_id AND e.id = old.id RETURNING 1
  )
  SELECT count(*)::integer FROM gone
$$;
