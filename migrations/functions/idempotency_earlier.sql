-- The first answer under an idempotency key, for changes that the service makes in a transaction of its own.
CREATE OR REPLACE FUNCTION idempotency_earlier(p_caller varchar, p_key varchar, p_hash bytea) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT remembered_answer(p_caller, p_key, p_hash)
$$;
