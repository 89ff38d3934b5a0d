-- Keeps the answer of such a change, in its transaction.
CREATE OR REPLACE FUNCTION idempotency_keep(p_caller varchar, p_key varchar, p_hash bytea, p_answer jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{callerId,"Idempotency-Key",requestHash,answer}', ARRAY[
    char_length(p_caller) BETWEEN 1 AND 64,
    char_length(p_key) BETWEEN 1 AND 255,
    octet_length(p_hash) = 32,
    jsonb_typeof(p_answer) = 'object']);
  SELECT remember_answer(p_caller, p_key, p_hash, p_answer)
$$;
