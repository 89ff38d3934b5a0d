-- Keeps a usage event whose credits were settled elsewhere; moves nothing.
-- Outcomes: ok (the record), user_not_found, idempotency_mismatch, day_limit (10^12 credits of the user in a UTC day).
CREATE OR REPLACE FUNCTION usage_record(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_user varchar := p ->> 'userId';
  p_at timestamptz := p ->> 'timestamp';
  p_service varchar := p ->> 'service';
  p_operation varchar := p ->> 'recordedOperation';
  p_credits bigint := p ->> 'credits';
  p_metadata jsonb := p -> 'metadata';
  p_api_key bigint := p ->> 'apiKeyId';
  p_tags jsonb := nullif(p -> 'tags', 'null');
  -- It moves no credits, but it counts in the same roll-up as the operations that do.
  v_lock account_lock := lock_account(p_account);
  v_path bigint[];
  v_unit bigint;
  v_answer jsonb;
  r usage_records;
  v_checks boolean[] := ARRAY[
    char_length(p_service) BETWEEN 1 AND 50,
    char_length(p_operation) BETWEEN 1 AND 100,
    p_credits BETWEEN 0 AND 1000000000000,
    coalesce(p_at BETWEEN '1970-01-01Z' AND now() + interval '2 days', TRUE),
    jsonb_typeof(p_metadata) = 'object' AND pg_column_size(p_metadata) <= 100000,
    is_idempotency(p)];
BEGIN
  IF p_account <> p_user AND v_lock.account_id IS NOT NULL THEN
    v_path := member_path(p_account, p_user);
    v_unit := v_path[cardinality(v_path)];
  END IF;
  -- A member's ids are good, and so is that of a personal account that is there.
  IF v_path IS NULL AND (v_lock.account_id IS DISTINCT FROM p_user OR p_user ^@ 'org:') THEN
    PERFORM refuse('{accountId,userId}', ARRAY[is_account_id(p_account), is_user_id(p_user)]);
  END IF;
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{service,operation,credits,timestamp,metadata,"Idempotency-Key"}', v_checks);
  END IF;
  IF p ->> 'idempotencyKey' IS NOT NULL THEN
    v_answer := earlier_answer(p);
    IF v_answer IS NOT NULL THEN
      -- It is kept without the metadata, which the record has, and which nothing changes.
      SELECT metadata INTO r.metadata FROM usage_records WHERE account_id = p_account AND id = (v_answer->>'id')::bigint;
      RETURN CASE WHEN FOUND THEN jsonb_set(v_answer, '{metadata}', r.metadata) ELSE v_answer END;
    END IF;
  END IF;
  IF v_lock.account_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF p_account <> p_user AND v_path IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF p_tags IS NOT NULL THEN PERFORM refuse('{tags}', ARRAY[is_tags(p_tags)]); END IF;
  p_at := coalesce(p_at, v_lock.locked_at);
  -- So that no user's records make the sums of all larger than a number can hold. Small records cannot, and look nothing up.
  IF p_credits > 1000000 AND p_credits + (
       SELECT coalesce(sum(credits), 0) FROM usage_daily
        WHERE account_id = p_account AND day = (p_at AT TIME ZONE 'UTC')::date) > 1000000000000 THEN
    RETURN '{"outcome": "day_limit"}';
  END IF;
  INSERT INTO usage_records
    (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status, api_key_id, unit_id, tags, counted_as_other)
  VALUES
    (p_account, p_user, p_at, p_service, p_operation, p_credits, p_metadata, 'recorded', p_api_key, v_unit, p_tags,
     count_usage(p_account, p_user, v_unit, p_at, p_service, p_operation,
                 sums_of_record(p_credits, 0, 'recorded', NULL, NULL)))
  RETURNING * INTO r;
  v_answer := usage_answer(r);
  PERFORM keep_answer(p, v_answer - 'metadata');
  RETURN v_answer;
END
$$;
