-- Deletes idempotency keys older than the 24 hours they are kept, the oldest first: p_limit of them, and those of the same
-- moment as the last. Returns how many. One caller at a time, the others are answered 0.
CREATE OR REPLACE FUNCTION forget_idempotency_keys(p_limit integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_until timestamptz;
  v_forgotten bigint;
BEGIN
  PERFORM refuse('{limit}', ARRAY[p_limit BETWEEN 1 AND 100000]);
  IF NOT pg_try_advisory_xact_lock(hashtextextended('forget_idempotency_keys', 0)) THEN RETURN 0; END IF;
  SELECT max(created_at) INTO v_until FROM (
    SELECT created_at FROM idempotency_keys WHERE created_at <= now() - interval '24 hours'
     ORDER BY created_at LIMIT p_limit) old;
  DELETE FROM idempotency_keys WHERE created_at <= v_until;
  GET DIAGNOSTICS v_forgotten = ROW_COUNT;
  RETURN v_forgotten;
END
$$;
