-- Ends an active session as p_end says. What it held above its cost goes back to the lots it came from; what it cost above
-- its hold is taken from the account's other lots. What they cannot cover stays on the usage record for review, with what is
-- doubtful, and so does all above the hold of a user who may no longer spend from the account. The caller holds the account's
-- lock. answer is session_settled_answer. counts gains what budgets have to count, and the caller hands it to count_ends before
-- anything reads or writes a period: a batch counts many ends at once.
CREATE OR REPLACE FUNCTION session_close(
  s streaming_sessions, p_lock account_lock, p_end session_end, OUT answer jsonb, INOUT counts session_count[]
)
LANGUAGE plpgsql AS $$
DECLARE
  v_credits bigint := (p_end.price).credits;
  v_cost numeric := coalesce(p_end.reported_cost_usd, (p_end.price).provider_cost_usd);
  v_due bigint := v_credits - p_end.doubtful_credits;
  v_overage bigint := greatest(v_due - s.allocated_credits, 0);
  v_collected bigint := CASE WHEN v_overage > 0 AND may_spend(s.account_id, s.user_id) THEN least(v_overage, p_lock.available)
                        ELSE 0 END;
  v_uncollected bigint := v_overage - v_collected + p_end.doubtful_credits;
  v_status varchar := CASE WHEN v_uncollected > 0 THEN 'needs_review' ELSE 'billed' END;
  v_usage bigint;
  v_moved record;
  v_tokens bigint := coalesce((p_end.price).tokens, 0);
  v_overrun jsonb;
BEGIN
  INSERT INTO usage_records
    (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status, uncollected_credits,
     provider_cost_usd, provider_cost_source, session_id, pricing_rule_id, pricing_source, priced_as, quantities, service_tier,
     fallback_classes, usage_source, api_key_id, unit_id, tags, periods, counted_as_other)
  VALUES
    (s.account_id, s.user_id, p_lock.locked_at, p_end.service, s.model_id, v_credits, p_end.metadata, v_status,
     v_uncollected, v_cost, cost_source(p_end.reported_cost_usd, v_cost),
     s.session_id, s.pricing_rule_id, s.pricing_source, s.priced_as, p_end.quantities, p_end.service_tier,
     (p_end.price).fallback_classes, p_end.usage_source, s.api_key_id, s.unit_id, s.tags, s.periods,
     count_usage(s.account_id, s.user_id, s.unit_id, p_lock.locked_at, p_end.service, s.model_id,
                 sums_of_record(v_credits, v_uncollected, v_status, v_cost, s.pricing_source)))
  RETURNING id INTO v_usage;
  IF v_uncollected > 0 THEN PERFORM emit_review_event(s.account_id, v_usage); END IF;
  IF v_overage > 0 THEN
    v_moved := take_credits(
      p_lock, (s.user_id, 'charge', s.session_id, v_usage, p_end.actor, NULL, s.unit_id, s.api_key_id),
      v_collected, -s.allocated_credits, s.held_lots, s.held_credits);
  ELSE
    v_moved := return_credits(
      p_lock, (s.user_id, 'refund', s.session_id, v_usage, p_end.actor, NULL, s.unit_id, s.api_key_id),
      s.allocated_credits - v_due, -s.allocated_credits, s.held_lots, s.held_credits);
  END IF;
  IF s.periods IS NOT NULL THEN
    counts := counts || (s.periods, s.id, s.allocated_credits, s.held_tokens, v_credits - v_uncollected, v_tokens)::session_count;
    IF v_collected > 0 OR v_tokens > s.held_tokens THEN
      -- What exceeds a limit is known when all are counted.
      PERFORM count_ends(s.account_id, counts);
      counts := NULL;
      v_overrun := budget_overrun(p_lock, s.periods, (v_collected, v_tokens - s.held_tokens, 0, 0));
    END IF;
  END IF;
  UPDATE streaming_sessions
     SET status = p_end.status, end_reason = p_end.reason,
         is_late = p_end.reason <> 'timeout' AND expires_at <= p_lock.locked_at,
         used_credits = v_credits, uncollected_credits = v_uncollected, doubtful_credits = p_end.doubtful_credits,
         final_quantities = p_end.quantities,
         final_service_tier = p_end.service_tier, provider_cost_usd = p_end.reported_cost_usd, held_lots = v_moved.lots, held_credits = v_moved.credits,
         overrun = v_overrun,
         usage_id = v_usage, completed_at = p_lock.locked_at
   WHERE account_id = s.account_id AND user_id = s.user_id AND session_id = s.session_id
  RETURNING * INTO s;
  answer := session_settled_answer(s);
END
$$;
