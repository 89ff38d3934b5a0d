-- Keeps a usage event whose credits were settled elsewhere; moves nothing.
-- Outcomes: ok (the record), user_not_found, idempotency_mismatch.
CREATE OR REPLACE FUNCTION usage_record(
  p_user varchar, p_at timestamptz, p_service varchar, p_operation varchar, p_credits bigint, p_metadata jsonb,
  p_caller varchar, p_key varchar, p_hash bytea
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_answer jsonb := remembered_answer(p_caller, p_key, p_hash);
BEGIN
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  PERFORM FROM user_accounts WHERE user_id = p_user;
  IF NOT FOUND THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  RETURN remember_answer(p_caller, p_key, p_hash, usage_answer(write_usage(
    p_user, coalesce(p_at, now()), p_service, p_operation, p_credits, p_metadata, 'recorded', 0, NULL, NULL, NULL,
    NULL)));
END
$$;
