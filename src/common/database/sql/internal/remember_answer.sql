-- Keeps an answer under its idempotency key, in the transaction that did the work. Two requests with one key at once:
-- the second waits here for the first, fails on the primary key, is rolled back whole, and its retry finds the answer.
CREATE OR REPLACE FUNCTION remember_answer(p_caller varchar, p_key varchar, p_hash bytea, p_answer jsonb)
RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  IF p_key IS NOT NULL THEN
    INSERT INTO idempotency_keys (caller_id, key, request_hash, response) VALUES (p_caller, p_key, p_hash, p_answer);
  END IF;
  RETURN p_answer;
END
$$;
