-- Keeps the answer of such a change, in its transaction.
CREATE OR REPLACE FUNCTION idempotency_keep(p_caller varchar, p_key varchar, p_hash bytea, p_answer jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT remember_answer(p_caller, p_key, p_hash, p_answer)
$$;
