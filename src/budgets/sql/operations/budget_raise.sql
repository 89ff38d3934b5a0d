-- Raises a budget in its period of now, until its end or an earlier moment; for a budget of each member, that of one member.
-- Outcomes: ok (the budget), not_found, set_by_platform, key_limit, member_not_found, past_until, too_many (100 in a period),
-- idempotency_mismatch.
CREATE OR REPLACE FUNCTION budget_raise(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id bigint := p ->> 'id';
  p_member varchar := p ->> 'memberId';
  p_amount bigint := p ->> 'amount';
  p_until timestamptz := p ->> 'until';
  p_reason varchar := p ->> 'reason';
  p_actor varchar := p ->> 'actor';
  v_now timestamptz := budget_lock(p_account);
  v_answer jsonb;
  v_period bigint;
  b budgets;
BEGIN
  PERFORM refuse('{accountId,id,memberId,amount,until,reason,actor,isPlatform,"Idempotency-Key"}', ARRAY[
    is_account_id(p_account),
    p_id > 0,
    coalesce(is_user_id(p_member), TRUE),
    p_amount BETWEEN 1 AND 1000000000000,
    coalesce(isfinite(p_until), TRUE),
    char_length(p_reason) BETWEEN 1 AND 200,
    char_length(p_actor) BETWEEN 1 AND 64,
    p ->> 'isPlatform' IS NOT NULL,
    is_idempotency(p)]);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  SELECT * INTO b FROM budgets WHERE account_id = p_account AND id = p_id;
  v_answer := budget_refusal_of(b, (p ->> 'isPlatform')::boolean);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF p_until <= v_now THEN RETURN '{"outcome": "past_until"}'; END IF;
  IF b.scope = 'each_member' AND NOT EXISTS (SELECT FROM members WHERE account_id = p_account AND user_id = p_member)
     OR b.scope <> 'each_member' AND p_member IS NOT NULL THEN
    RETURN '{"outcome": "member_not_found"}';
  END IF;
  v_period := open_period(b, coalesce(p_member, ''), v_now);
  PERFORM budget_raises_ended(p_account, p_id);
  IF (SELECT count(*) FROM budget_raises WHERE account_id = p_account AND period_id = v_period) >= 100 THEN
    RETURN '{"outcome": "too_many"}';
  END IF;
  INSERT INTO budget_raises (account_id, period_id, amount, until, reason, made_by, made_at)
  VALUES (p_account, v_period, p_amount, p_until, p_reason, p_actor, v_now);
  UPDATE budget_periods SET raised = raised + p_amount, raised_until = least(raised_until, p_until)
   WHERE account_id = p_account AND id = v_period;
  PERFORM budget_changed(p_account, p_id, v_period, 0);
  PERFORM write_activity(p, p_account, 'budget.raised', p_id::text, NULL, jsonb_build_object(
    'amount', p_amount, 'until', iso_time(p_until), 'reason', p_reason, 'memberId', p_member));
  RETURN keep_answer(p, jsonb_build_object('outcome', 'ok', 'budget', budget_json(b, p_member)));
END
$$;
