-- Deletes up to p_limit idempotency keys older than the 24 hours they are kept. Returns how many.
CREATE OR REPLACE FUNCTION forget_idempotency_keys(p_limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{limit}', ARRAY[p_limit BETWEEN 1 AND 100000]);
  WITH old AS (
    SELECT account_id, caller_id, key FROM idempotency_keys WHERE created_at <= now() - interval '24 hours'
     ORDER BY created_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM idempotency_keys k USING old
     WHERE k.account_id = old.account_id AND k.caller_id = old.caller_id AND k.key = old.key RETURNING 1
  )
  SELECT count(*) FROM gone
$$;
