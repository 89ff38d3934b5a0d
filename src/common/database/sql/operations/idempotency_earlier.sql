-- The first answer under an idempotency key, for changes that the service makes in a transaction of its own. The same
-- request on another instance is waited for: what it has done could refuse this one.
CREATE OR REPLACE FUNCTION idempotency_earlier(p jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT refuse('{accountId,"Idempotency-Key"}', ARRAY[
    char_length(p ->> 'accountId') BETWEEN 1 AND 64,
    p ->> 'idempotencyKey' IS NOT NULL AND is_idempotency(p)]);
  SELECT pg_advisory_xact_lock(
    hashtextextended(concat_ws(' ', 'idempotency', p ->> 'callerId', p ->> 'idempotencyKey'), 0));
  SELECT earlier_answer(p)
$$;
