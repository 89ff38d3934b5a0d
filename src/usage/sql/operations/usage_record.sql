-- Keeps a usage event whose credits were settled elsewhere; moves nothing.
-- Outcomes: ok (the record), user_not_found, idempotency_mismatch, day_limit (10^12 credits of the user in a UTC day).
CREATE OR REPLACE FUNCTION usage_record(
  p_user varchar, p_at timestamptz, p_service varchar, p_operation varchar, p_credits bigint, p_metadata jsonb,
  p_caller varchar, p_key varchar, p_hash bytea, p_api_key bigint DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_answer jsonb;
  -- It moves no credits, but it counts in the same roll-up as what does, which is locked after the balance (law 7).
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  r usage_records;
  v_checks boolean[] := ARRAY[
    is_user_id(p_user),
    char_length(p_service) BETWEEN 1 AND 50,
    char_length(p_operation) BETWEEN 1 AND 100,
    p_credits BETWEEN 0 AND 1000000000000,
    coalesce(p_at BETWEEN '1970-01-01Z' AND now() + interval '2 days', TRUE),
    jsonb_typeof(p_metadata) = 'object' AND pg_column_size(p_metadata) <= 100000,
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32))];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{userId,service,operation,credits,timestamp,metadata,"Idempotency-Key"}', v_checks);
  END IF;
  v_answer := remembered_answer(p_caller, p_key, p_hash);
  IF v_answer IS NOT NULL THEN
    -- It is kept without the metadata, which the record has, and which nothing changes.
    SELECT metadata INTO r.metadata FROM usage_records WHERE user_id = p_user AND id = (v_answer->>'id')::bigint;
    RETURN CASE WHEN FOUND THEN jsonb_set(v_answer, '{metadata}', r.metadata) ELSE v_answer END;
  END IF;
  IF v_balance.user_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  r.user_id := p_user;
  r.timestamp := coalesce(p_at, v_lock.locked_at);
  -- So that no user makes the sums of all larger than a number can say. Small records cannot, and look nothing up.
  IF p_credits > 1000000 AND p_credits + (
       SELECT coalesce(sum(credits), 0) FROM usage_daily
        WHERE user_id = p_user AND day = (r.timestamp AT TIME ZONE 'UTC')::date) > 1000000000000 THEN
    RETURN '{"outcome": "day_limit"}';
  END IF;
  r.service := p_service;
  r.operation := p_operation;
  r.credits := p_credits;
  r.metadata := p_metadata;
  r.billing_status := 'recorded';
  r.api_key_id := p_api_key;
  v_answer := usage_answer(write_usage(r));
  PERFORM remember_answer(p_caller, p_key, p_hash, v_answer - 'metadata');
  RETURN v_answer;
END
$$;
