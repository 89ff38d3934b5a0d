-- Keeps the answer of such a change, in its transaction.
CREATE OR REPLACE FUNCTION idempotency_keep(p jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{accountId,"Idempotency-Key",answer}', ARRAY[
    char_length(p ->> 'accountId') BETWEEN 1 AND 64,
    p ->> 'idempotencyKey' IS NOT NULL AND is_idempotency(p),
    jsonb_typeof(p -> 'answer') = 'object']);
  SELECT keep_answer(p, p -> 'answer')
$$;
