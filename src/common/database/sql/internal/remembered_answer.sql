-- The first answer under an idempotency key, marked as replayed; a mismatch when the key came with another request;
-- NULL when the key is new, absent, or older than the 24 hours it is kept.
CREATE OR REPLACE FUNCTION remembered_answer(p_caller varchar, p_key varchar, p_hash bytea) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v_row idempotency_keys;
BEGIN
  IF p_key IS NULL THEN RETURN NULL; END IF;
  SELECT * INTO v_row FROM idempotency_keys WHERE caller_id = p_caller AND key = p_key;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF v_row.created_at <= now() - interval '24 hours' THEN
    -- The old one only: by now another request may have written a new one.
    DELETE FROM idempotency_keys
     WHERE caller_id = p_caller AND key = p_key AND created_at <= now() - interval '24 hours';
    RETURN NULL;
  END IF;
  IF v_row.request_hash <> p_hash THEN
    RETURN '{"outcome": "idempotency_mismatch"}';
  END IF;
  RETURN v_row.response || '{"replayed": true}';
END
$$;
