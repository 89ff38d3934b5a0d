-- Creates an API key of an account for a user; digest is its SHA-256. sealed is the key itself, sealed, for a repeated
-- request alone.
-- A key for a gateway is pending, and its idempotency key is kept by api_key_open.
-- Outcomes: ok (the key), not_a_member (of the organisation that the key is to spend from), past_expiry, too_many, idempotency_mismatch.
CREATE OR REPLACE FUNCTION api_key_create(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_user varchar := p ->> 'userId';
  p_digest varchar := p ->> 'digest';
  p_hint varchar := p ->> 'hint';
  p_name varchar := p ->> 'name';
  p_permissions text[] := ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(p -> 'permissions') WHEN 'array' THEN p -> 'permissions' END));
  p_expires_at timestamptz := p ->> 'expiresAt';
  p_limit bigint := p ->> 'creditLimit';
  p_gateway varchar := p ->> 'gateway';
  p_settings jsonb := nullif(p -> 'settings', 'null');
  p_sealed text := p ->> 'sealed';
  v_answer jsonb;
  v_id bigint;
BEGIN
  PERFORM refuse('{accountId,userId,digest,hint,name,permissions,expiresAt,creditLimit,gateway,settings,"Idempotency-Key",sealed}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_user),
    p_digest ~ '^[0-9a-f]{64}$',
    char_length(p_hint) BETWEEN 1 AND 20,
    is_id(p_name, 100),
    jsonb_typeof(p -> 'permissions') = 'array',
    coalesce(isfinite(p_expires_at), TRUE),
    coalesce(p_limit BETWEEN 0 AND 1000000000000, TRUE),
    p_gateway IS NULL OR is_id(p_gateway, 20),
    (p_gateway IS NULL) = (p_settings IS NULL) AND coalesce(jsonb_typeof(p_settings) = 'object', TRUE),
    is_idempotency(p),
    (p_sealed IS NULL) = (p ->> 'idempotencyKey' IS NULL) AND coalesce(char_length(p_sealed) <= 1000, TRUE)]);
  PERFORM api_key_lock(p_account);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF NOT api_key_may_have(p_account, p_user) THEN RETURN '{"outcome": "not_a_member"}'; END IF;
  IF p_expires_at <= clock_timestamp() THEN RETURN '{"outcome": "past_expiry"}'; END IF;
  v_id := api_key_insert(p_account, p_user, p_digest, p_hint, p_name, p_permissions, p_expires_at, p_limit, NULL,
                         p_gateway, p_settings, NULL);
  IF v_id IS NULL THEN RETURN '{"outcome": "too_many"}'; END IF;
  v_answer := api_key_answer(p_account, v_id) || jsonb_build_object('sealed', p_sealed);
  -- One for a gateway is noted when it is live there (api_key_open).
  IF p_gateway IS NULL THEN
    PERFORM write_activity(p, p_account, 'api_key.created', v_id::text, NULL, api_key_answer(p_account, v_id));
  END IF;
  RETURN CASE WHEN p_gateway IS NULL THEN keep_answer(p, v_answer) ELSE v_answer END;
END
$$;
