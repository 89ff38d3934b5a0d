-- Takes credits away, first to expire first; all or nothing.
-- Outcomes: ok, user_not_found, insufficient, idempotency_mismatch.
CREATE OR REPLACE FUNCTION credit_deduct(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_credits bigint := p ->> 'credits';
  p_notes text := p ->> 'notes';
  p_actor varchar := p ->> 'actor';
  v_lock account_lock := lock_account(p_account);
  v_answer jsonb;
  v_checks boolean[] := ARRAY[
    is_account_id(p_account),
    p_credits BETWEEN 1 AND 1000000000000,
    char_length(p_notes) BETWEEN 1 AND 1000,
    char_length(p_actor) BETWEEN 1 AND 64,
    is_idempotency(p)];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{accountId,credits,notes,actor,"Idempotency-Key"}', v_checks);
  END IF;
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF v_lock.account_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF v_lock.available < p_credits THEN
    RETURN jsonb_build_object('outcome', 'insufficient', 'requiredCredits', p_credits,
                              'availableCredits', v_lock.available);
  END IF;
  PERFORM take_credits(v_lock, (NULL, 'deduction', NULL, NULL, p_actor, p_notes, NULL, NULL), p_credits, 0, '{}', '{}');
  PERFORM write_activity(p, p_account, 'credits.deducted', p_account,
                         jsonb_build_object('availableCredits', v_lock.available),
                         jsonb_build_object('availableCredits', v_lock.available - p_credits, 'deducted', p_credits, 'notes', p_notes));
  RETURN keep_answer(p, jsonb_build_object(
    'outcome', 'ok', 'accountId', p_account, 'userId', p_account, 'deducted', p_credits,
    'totalCredits', v_lock.available - p_credits));
END
$$;
