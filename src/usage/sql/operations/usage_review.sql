-- Decides on what a record has open, once. version names the record as the reviewer has seen it. bill takes the
-- uncollected credits (or credits instead of them) out of the account's lots; waive lets them go.
-- Outcomes: ok (the record), usage_not_found, not_in_review, already_reviewed, changed (another version), insufficient,
-- idempotency_mismatch.
CREATE OR REPLACE FUNCTION usage_review(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_usage bigint := p ->> 'usageId';
  p_version integer := p ->> 'version';
  p_action varchar := p ->> 'action';
  p_credits bigint := p ->> 'credits';
  p_actor varchar := p ->> 'actor';
  v_lock account_lock := lock_account(p_account);
  v_answer jsonb;
  v_before jsonb;
  v_amount bigint;
  v_taken record;
  r usage_records;
  s streaming_sessions;
BEGIN
  PERFORM refuse('{accountId,id,action,credits,actor,version,"Idempotency-Key"}', ARRAY[
    is_account_id(p_account),
    p_usage > 0,
    p_action IN ('bill', 'waive'),
    coalesce(p_credits BETWEEN 0 AND 1000000000000, TRUE),
    char_length(p_actor) BETWEEN 1 AND 64,
    p_version > 0,
    is_idempotency(p)]);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  SELECT * INTO r FROM usage_records WHERE account_id = p_account AND id = p_usage;
  IF NOT FOUND THEN RETURN '{"outcome": "usage_not_found"}'; END IF;
  IF r.billing_status <> 'needs_review' THEN
    RETURN jsonb_build_object('outcome', CASE WHEN r.review_action IS NULL THEN 'not_in_review'
                                              ELSE 'already_reviewed' END);
  END IF;
  IF r.version <> p_version THEN RETURN '{"outcome": "changed"}'; END IF;
  r.review_action := p_action;
  r.review_credits := p_credits;
  r.reviewed_by := p_actor;
  -- Later than the last decision, also when the clock has been set back: replace_usage recognises it by this.
  -- Also when the clock was set back; the ledger has the same time.
  v_lock.locked_at := greatest(v_lock.locked_at, r.reviewed_at + interval '1 microsecond');
  r.reviewed_at := v_lock.locked_at;
  r.billing_status := 'waived';
  v_before := jsonb_build_object('billingStatus', 'needs_review', 'credits', r.credits, 'uncollectedCredits', r.uncollected_credits);
  IF p_action = 'bill' THEN
    v_amount := coalesce(p_credits, r.uncollected_credits);
    IF v_amount > v_lock.available THEN
      RETURN jsonb_build_object('outcome', 'insufficient', 'requiredCredits', v_amount,
                                'availableCredits', v_lock.available);
    END IF;
    SELECT * INTO s FROM streaming_sessions
     WHERE account_id = p_account AND user_id = r.user_id AND session_id = r.session_id;
    v_taken := take_credits(
      v_lock, (r.user_id, 'charge', r.session_id, r.id, p_actor, NULL, r.unit_id, r.api_key_id), v_amount, 0,
      coalesce(s.held_lots, '{}'), coalesce(s.held_credits, '{}'));
    -- A late finalize may still return some of it, to the lots it came from.
    UPDATE streaming_sessions SET held_lots = v_taken.lots, held_credits = v_taken.credits
     WHERE account_id = p_account AND user_id = r.user_id AND session_id = r.session_id;
    IF r.periods IS NOT NULL THEN
      PERFORM count_budgets(p_account, r.periods, v_amount, 0, 0);
    END IF;
    r.credits := r.credits - r.uncollected_credits + v_amount;
    r.uncollected_credits := 0;
    r.billing_status := 'billed';
  END IF;
  PERFORM write_activity(p, p_account, 'usage.reviewed', p_usage::text, v_before, jsonb_build_object(
    'billingStatus', r.billing_status, 'credits', r.credits, 'uncollectedCredits', r.uncollected_credits, 'userId', r.user_id,
    'version', p_version));
  RETURN keep_answer(p, usage_answer(replace_usage(r)));
END
$$;
