-- The first answer under an idempotency key, for changes that the service makes in a transaction of its own.
CREATE OR REPLACE FUNCTION idempotency_earlier(p jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{accountId,"Idempotency-Key"}', ARRAY[
    char_length(p ->> 'accountId') BETWEEN 1 AND 64,
    p ->> 'idempotencyKey' IS NOT NULL AND is_idempotency(p)]);
  SELECT earlier_answer(p)
$$;
