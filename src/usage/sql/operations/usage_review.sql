-- Decides on what a record still has open, once. p_version names the record as the reviewer has seen it (NULL: as it is).
-- bill takes the uncollected credits (or p_credits instead of them) out of the user's lots; waive lets them go.
-- Outcomes: ok (the record), usage_not_found, not_in_review, already_reviewed, changed (another version), insufficient,
-- idempotency_mismatch.
CREATE OR REPLACE FUNCTION usage_review(
  p_user varchar, p_usage bigint, p_action varchar, p_credits bigint, p_actor varchar, p_version integer DEFAULT NULL,
  p_caller varchar DEFAULT NULL, p_key varchar DEFAULT NULL, p_hash bytea DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_now timestamptz := v_lock.locked_at;
  v_answer jsonb;
  v_amount bigint;
  v_before bigint;
  v_taken record;
  r usage_records;
  s streaming_sessions;
BEGIN
  PERFORM refuse('{userId,id,action,credits,actor,version,"Idempotency-Key"}', ARRAY[
    is_user_id(p_user),
    p_usage > 0,
    p_action IN ('bill', 'waive'),
    coalesce(p_credits BETWEEN 0 AND 1000000000000, TRUE),
    char_length(p_actor) BETWEEN 1 AND 64,
    coalesce(p_version > 0, TRUE),
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32))]);
  v_answer := remembered_answer(p_caller, p_key, p_hash);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  SELECT * INTO r FROM usage_records WHERE user_id = p_user AND id = p_usage;
  IF NOT FOUND THEN RETURN '{"outcome": "usage_not_found"}'; END IF;
  -- The release before names no version: the last decision again has no effect, also where more has come up since.
  IF p_version IS NULL AND (r.review_action, r.review_credits) IS NOT DISTINCT FROM (p_action, p_credits) THEN
    RETURN usage_answer(r);
  END IF;
  IF r.billing_status <> 'needs_review' THEN
    RETURN jsonb_build_object('outcome', CASE WHEN r.review_action IS NULL THEN 'not_in_review'
                                              ELSE 'already_reviewed' END);
  END IF;
  IF r.version <> p_version THEN RETURN '{"outcome": "changed"}'; END IF;
  r.review_action := p_action;
  r.review_credits := p_credits;
  r.reviewed_by := p_actor;
  -- Later than the last decision, also when the clock has been set back: by this replace_usage knows it.
  r.reviewed_at := greatest(v_now, r.reviewed_at + interval '1 microsecond');
  r.billing_status := 'waived';
  IF p_action = 'bill' THEN
    v_amount := coalesce(p_credits, r.uncollected_credits);
    IF v_amount > v_balance.available THEN
      RETURN jsonb_build_object('outcome', 'insufficient', 'requiredCredits', v_amount,
                                'availableCredits', v_balance.available);
    END IF;
    SELECT * INTO s FROM streaming_sessions WHERE user_id = p_user AND session_id = r.session_id;
    v_taken := take_credits(p_user, v_amount, 'charge', r.session_id, r.id, p_actor, NULL, v_now,
                            v_balance.available, coalesce(s.held_lots, '{}'), coalesce(s.held_credits, '{}'));
    -- A late finalize may still give some of it back, to the lots it came from.
    UPDATE streaming_sessions SET held_lots = v_taken.p_lots, held_credits = v_taken.p_credits
     WHERE user_id = p_user AND session_id = r.session_id;
    v_before := v_balance.available + v_balance.held;
    UPDATE credit_balances SET available = v_taken.p_available WHERE user_id = p_user RETURNING * INTO v_balance;
    PERFORM tell_balance(v_balance, v_before);
    PERFORM api_key_count(p_user, r.api_key_id, 0, v_amount);
    r.credits := r.credits - r.uncollected_credits + v_amount;
    r.uncollected_credits := 0;
    r.billing_status := 'billed';
  END IF;
  RETURN remember_answer(p_caller, p_key, p_hash, usage_answer(replace_usage(r)));
END
$$;
