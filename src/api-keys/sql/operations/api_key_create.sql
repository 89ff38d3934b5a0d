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
  PERFORM refuse('{userId,digest,hint,name,permissions,expiresAt,creditLimit,gateway,settings,"Idempotency-Key",sealed}', ARRAY[
    is_user_id(p_user),
    p_digest ~ '^[0-9a-f]{64}$',
    char_length(p_hint) BETWEEN 1 AND 20,
    is_id(p_name, 100),
    p_permissions IS NOT NULL,
    coalesce(p_expires_at > now() - interval '1 minute', TRUE),
    coalesce(p_limit BETWEEN 0 AND 1000000000000, TRUE),
    coalesce(p_gateway = 'litellm', TRUE),
    (p_gateway IS NULL) = (p_settings IS NULL) AND coalesce(jsonb_typeof(p_settings) = 'object', TRUE),
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32)),
    (p_sealed IS NULL) = (p_key IS NULL) AND coalesce(char_length(p_sealed) <= 1000, TRUE)]);
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
