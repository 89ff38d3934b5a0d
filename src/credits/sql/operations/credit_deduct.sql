-- Takes credits away from a user, soonest expiry first; all of them or none.
-- Outcomes: ok, user_not_found, insufficient, idempotency_mismatch.
CREATE OR REPLACE FUNCTION credit_deduct(
  p_user varchar, p_credits bigint, p_notes text, p_actor varchar, p_caller varchar, p_key varchar, p_hash bytea
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_answer jsonb;
  v_taken record;
  v_before bigint;
  v_checks boolean[] := ARRAY[
    is_user_id(p_user),
    p_credits BETWEEN 1 AND 1000000000000,
    char_length(p_notes) BETWEEN 1 AND 1000,
    char_length(p_actor) BETWEEN 1 AND 64,
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32))];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{userId,credits,notes,actor,"Idempotency-Key"}', v_checks);
  END IF;
  v_answer := remembered_answer(p_caller, p_key, p_hash);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF v_balance.user_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF v_balance.available < p_credits THEN
    RETURN jsonb_build_object('outcome', 'insufficient', 'requiredCredits', p_credits,
                              'availableCredits', v_balance.available);
  END IF;
  v_taken := take_credits(p_user, p_credits, 'deduction', NULL, NULL, p_actor, p_notes, v_lock.locked_at,
                          v_balance.available, '{}', '{}');
  v_before := v_balance.available + v_balance.held;
  UPDATE credit_balances SET available = v_taken.p_available WHERE user_id = p_user RETURNING * INTO v_balance;
  IF is_low(v_balance) THEN PERFORM tell_balance(v_balance, v_before); END IF;
  RETURN remember_answer(p_caller, p_key, p_hash, jsonb_build_object(
    'outcome', 'ok', 'userId', p_user, 'deducted', p_credits, 'totalCredits', v_taken.p_available));
END
$$;
