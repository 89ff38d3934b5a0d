-- The first answer under the request's idempotency key, marked as replayed; a mismatch when the key came with another
-- request; NULL when the key is new, absent, or older than the 24 hours it is kept. Keys belong to an account and a caller.
CREATE OR REPLACE FUNCTION earlier_answer(p jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v_row idempotency_keys;
BEGIN
  SELECT * INTO v_row FROM idempotency_keys
   WHERE account_id = p ->> 'accountId' AND caller_id = p ->> 'callerId' AND key = p ->> 'idempotencyKey';
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF v_row.created_at <= now() - interval '24 hours' THEN
    -- The old one only: by now another request may have written a new one.
    DELETE FROM idempotency_keys
     WHERE account_id = v_row.account_id AND caller_id = v_row.caller_id AND key = v_row.key
       AND created_at <= now() - interval '24 hours';
    RETURN NULL;
  END IF;
  IF v_row.request_hash <> decode(p ->> 'requestHash', 'hex') THEN RETURN '{"outcome": "idempotency_mismatch"}'; END IF;
  RETURN v_row.response || '{"replayed": true}';
END
$$;
