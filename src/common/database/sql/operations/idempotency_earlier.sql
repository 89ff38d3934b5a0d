-- The first answer under an idempotency key, for changes that the service makes in a transaction of its own.
CREATE OR REPLACE FUNCTION idempotency_earlier(p_caller varchar, p_key varchar, p_hash bytea) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{callerId,"Idempotency-Key",requestHash}', ARRAY[
    char_length(p_caller) BETWEEN 1 AND 64,
    char_length(p_key) BETWEEN 1 AND 255,
    octet_length(p_hash) = 32]);
  SELECT remembered_answer(p_caller, p_key, p_hash)
$$;
