-- Makes an API key of a user; p_digest is its SHA-256. p_sealed is the key itself, sealed, for a repeated request alone.
-- A key for a gateway is pending, and its idempotency key is kept by api_key_open.
-- Outcomes: ok (the key), past_expiry, too_many, idempotency_mismatch.
CREATE OR REPLACE FUNCTION api_key_create(
  p_user varchar, p_digest varchar, p_hint varchar, p_name varchar, p_permissions text[], p_expires_at timestamptz,
  p_limit bigint, p_gateway varchar, p_settings jsonb, p_caller varchar, p_key varchar, p_hash bytea, p_sealed text
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_answer jsonb;
  v_id bigint;
BEGIN
  PERFORM api_key_lock(p_user);
  v_answer := remembered_answer(p_caller, p_key, p_hash);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF p_expires_at <= clock_timestamp() THEN RETURN '{"outcome": "past_expiry"}'; END IF;
  v_id := api_key_insert(p_user, p_digest, p_hint, p_name, p_permissions, p_expires_at, p_limit, NULL, p_gateway,
                         p_settings, NULL);
  IF v_id IS NULL THEN RETURN '{"outcome": "too_many"}'; END IF;
  v_answer := api_key_answer(p_user, v_id) || jsonb_build_object('sealed', p_sealed);
  RETURN CASE WHEN p_gateway IS NULL THEN remember_answer(p_caller, p_key, p_hash, v_answer) ELSE v_answer END;
END
$$;
