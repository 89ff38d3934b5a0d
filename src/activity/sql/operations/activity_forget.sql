-- Deletes up to p_limit entries of the activity log that are older than p_days. Returns how many.
CREATE OR REPLACE FUNCTION activity_forget(p_days integer, p_limit integer) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{days,limit}', ARRAY[
    p_days BETWEEN 30 AND 36500,
    p_limit BETWEEN 1 AND 100000]);
  WITH old AS (
    SELECT account_id, id FROM activity WHERE at < now() - make_interval(days => p_days)
     ORDER BY at LIMIT p_limit
  ), gone AS (
    DELETE FROM activity a USING old WHERE a.account_id = old.account_id AND a.id = old.id RETURNING 1
  )
  SELECT count(*)::integer FROM gone
$$;
