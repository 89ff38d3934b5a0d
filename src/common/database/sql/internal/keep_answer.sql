-- Keeps an answer under the request's idempotency key, in the transaction that did the work, and returns it. Two requests
-- with one key at once: the second waits here for the first, fails on the primary key, is rolled back whole, and its retry
-- finds the answer.
CREATE OR REPLACE FUNCTION keep_answer(p jsonb, p_answer jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  IF p ->> 'idempotencyKey' IS NOT NULL THEN
    INSERT INTO idempotency_keys (account_id, caller_id, key, request_hash, response)
    VALUES (p ->> 'accountId', p ->> 'callerId', p ->> 'idempotencyKey', decode(p ->> 'requestHash', 'hex'), p_answer);
  END IF;
  RETURN p_answer;
END
$$;
