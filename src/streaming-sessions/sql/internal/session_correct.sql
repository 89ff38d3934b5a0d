-- Settles a session once more that a time-out has ended, as p_end says. What the time-out charged is compared with the
-- actual cost; the difference is returned or taken. What reviews have waived is not asked for again, and what they have
-- billed above the cost stays billed. Nothing more is taken for a user who may no longer spend from the account. The caller
-- holds the account's lock. Returns session_settled_answer, or the outcome balance_limit when the account would have more than it may (2^53 - 1 credits, the largest integer that JSON clients read
-- exactly).
CREATE OR REPLACE FUNCTION session_correct(s streaming_sessions, p_lock account_lock, p_end session_end) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v_credits bigint := (p_end.price).credits;
  v_cost numeric := coalesce(p_end.reported_cost_usd, (p_end.price).provider_cost_usd);
  r usage_records;
  v_due bigint;
  v_before bigint;
  v_waived bigint;
  v_charge bigint;
  v_uncollected bigint;
  v_return bigint;
  v_paid bigint;
  v_moved record;
  v_tokens bigint;
  v_tokens_before bigint;
  v_overrun jsonb;
BEGIN
  SELECT * INTO STRICT r FROM usage_records WHERE account_id = s.account_id AND id = s.usage_id;
  v_before := r.credits - r.uncollected_credits;
  v_tokens_before := tokens_of(r.quantities);
  IF p_lock.available + p_lock.held + v_before - v_credits + p_end.doubtful_credits > 9007199254740991 THEN
    RETURN '{"outcome": "balance_limit"}';
  END IF;
  SELECT coalesce(sum(uncollected_credits - billed_credits), 0) INTO v_waived
    FROM usage_reviews WHERE account_id = s.account_id AND usage_id = s.usage_id;
  v_due := v_credits - p_end.doubtful_credits;
  v_charge := least(greatest(v_due - v_waived - v_before, 0), p_lock.available);
  IF v_charge > 0 AND NOT may_spend(s.account_id, s.user_id) THEN v_charge := 0; END IF;
  v_return := greatest(v_before - v_due - greatest(-v_waived, 0), 0);
  v_paid := v_before + v_charge - v_return;
  v_uncollected := greatest(v_credits - v_paid - v_waived, 0);
  r.uncollected_credits := CASE WHEN v_uncollected = 0 AND r.billing_status = 'waived'
                                THEN greatest(v_credits - v_paid, 0) ELSE v_uncollected END;
  r.billing_status := CASE WHEN v_uncollected > 0 THEN 'needs_review'
                           WHEN r.uncollected_credits > 0 THEN 'waived' ELSE 'billed' END;
  r.service := p_end.service;
  r.credits := v_paid + r.uncollected_credits;
  r.metadata := p_end.metadata;
  r.quantities := p_end.quantities;
  r.service_tier := p_end.service_tier;
  r.fallback_classes := (p_end.price).fallback_classes;
  r.usage_source := p_end.usage_source;
  r.provider_cost_usd := v_cost;
  r.provider_cost_source := cost_source(p_end.reported_cost_usd, v_cost);
  r := replace_usage(r);
  IF v_return > 0 THEN
    v_moved := return_credits(
      p_lock, (s.user_id, 'refund', s.session_id, r.id, p_end.actor, NULL, s.unit_id, s.api_key_id), v_return, 0, s.held_lots, s.held_credits);
  ELSIF v_charge > 0 THEN
    v_moved := take_credits(
      p_lock, (s.user_id, 'charge', s.session_id, r.id, p_end.actor, NULL, s.unit_id, s.api_key_id), v_charge, 0, s.held_lots, s.held_credits);
  ELSE
    SELECT s.held_lots AS lots, s.held_credits AS credits INTO v_moved;
  END IF;
  IF s.periods IS NOT NULL THEN
    v_tokens := coalesce((p_end.price).tokens, 0);
    PERFORM count_budgets(s.account_id, s.periods, v_paid - v_before, v_tokens - v_tokens_before, 0);
    -- The time-out has given back what it did not charge: all above that was held no longer.
    IF v_charge > 0 OR v_tokens > v_tokens_before THEN
      v_overrun := budget_overrun(p_lock, s.periods, (v_charge, greatest(v_tokens - v_tokens_before, 0), 0, 0));
    END IF;
  END IF;
  UPDATE streaming_sessions
     SET status = p_end.status, end_reason = p_end.reason, is_late = TRUE,
         used_credits = v_credits, uncollected_credits = v_uncollected, doubtful_credits = p_end.doubtful_credits,
         final_quantities = p_end.quantities,
         final_service_tier = p_end.service_tier, provider_cost_usd = p_end.reported_cost_usd, held_lots = v_moved.lots, held_credits = v_moved.credits,
         overrun = v_overrun, completed_at = p_lock.locked_at
   WHERE account_id = s.account_id AND user_id = s.user_id AND session_id = s.session_id
  RETURNING * INTO s;
  RETURN session_settled_answer(s);
END
$$;
