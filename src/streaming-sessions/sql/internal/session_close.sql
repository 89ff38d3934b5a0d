-- Ends a session, or corrects one that a time-out ended: s carries how it ended (end_reason, status, used_credits,
-- final_* tokens, provider_cost_usd). What was paid before (the hold, or what the time-out charged) is compared with
-- the actual cost; the rest goes back to the lots it came from, or the difference is taken from the user's other lots,
-- and what they cannot cover stays on the usage record for review. What reviews have let go is not asked for again, and
-- what they have taken above the cost stays taken. The caller holds the balance row.
CREATE OR REPLACE FUNCTION session_close(
  s streaming_sessions, p_available bigint, p_paid bigint, p_service varchar, p_metadata jsonb, p_actor varchar,
  p_now timestamptz
) RETURNS streaming_sessions
LANGUAGE plpgsql AS $$
DECLARE
  v_was_active boolean := s.usage_id IS NULL;
  v_let_go bigint := 0;
  v_charge bigint;
  v_return bigint;
  v_paid bigint;
  v_moved record;
  v_next_expiry timestamptz;
  v_record usage_records;
  v_balance credit_balances;
BEGIN
  IF NOT v_was_active THEN
    SELECT * INTO STRICT v_record FROM usage_records WHERE user_id = s.user_id AND id = s.usage_id;
    SELECT coalesce(sum(uncollected_credits - billed_credits), 0) INTO v_let_go FROM usage_reviews
     WHERE user_id = s.user_id AND usage_id = s.usage_id;
  END IF;
  v_charge := greatest(s.used_credits - v_let_go - p_paid, 0);
  s.uncollected_credits := greatest(v_charge - p_available, 0);
  v_charge := v_charge - s.uncollected_credits;
  v_return := greatest(p_paid - s.used_credits - greatest(-v_let_go, 0), 0);
  v_paid := p_paid + v_charge - v_return;
  v_record.uncollected_credits := CASE WHEN s.uncollected_credits = 0 AND v_record.billing_status = 'waived'
                                       THEN greatest(s.used_credits - v_paid, 0) ELSE s.uncollected_credits END;
  v_record.billing_status := CASE WHEN s.uncollected_credits > 0 THEN 'needs_review'
                                  WHEN v_record.uncollected_credits > 0 THEN 'waived' ELSE 'billed' END;
  v_record.id := s.usage_id;
  v_record.user_id := s.user_id;
  v_record.timestamp := p_now;
  v_record.service := p_service;
  v_record.operation := s.model_id;
  v_record.credits := v_paid + v_record.uncollected_credits;
  v_record.metadata := p_metadata;
  v_record.provider_cost_usd := coalesce(s.provider_cost_usd, session_provider_cost(s));
  v_record.provider_cost_source := CASE WHEN s.provider_cost_usd IS NOT NULL THEN 'reported'
                                        WHEN v_record.provider_cost_usd IS NOT NULL THEN 'computed' END;
  v_record.session_id := s.session_id;
  v_record.pricing_rule_id := s.pricing_rule_id;
  v_record.pricing_source := s.pricing_source;
  v_record.api_key_id := s.api_key_id;
  v_record := CASE WHEN v_was_active THEN write_usage(v_record) ELSE replace_usage(v_record) END;
  IF v_return > 0 THEN
    v_moved := return_credits(s.user_id, v_return, s.session_id, v_record.id, p_actor, p_now,
                              p_available, s.held_lots, s.held_credits);
    v_next_expiry := v_moved.next_expiry;
  ELSE
    v_moved := take_credits(s.user_id, v_charge, 'charge', s.session_id, v_record.id, p_actor, NULL, p_now,
                            p_available, s.held_lots, s.held_credits);
  END IF;
  UPDATE credit_balances
     SET available = v_moved.p_available,
         held = held - CASE WHEN v_was_active THEN s.allocated_credits ELSE 0 END,
         next_expiry = least(next_expiry, v_next_expiry)
   WHERE user_id = s.user_id
  RETURNING * INTO v_balance;
  -- A late finalize may give credits back: then they may have recovered.
  IF v_balance.told_state IS NOT NULL OR is_low(v_balance) THEN
    PERFORM tell_balance(v_balance, p_available + v_balance.held
                                    + CASE WHEN v_was_active THEN s.allocated_credits ELSE 0 END);
  END IF;
  IF s.api_key_id IS NOT NULL THEN
    PERFORM api_key_count(s.user_id, s.api_key_id, CASE WHEN v_was_active THEN -s.allocated_credits ELSE 0 END,
                          v_paid - CASE WHEN v_was_active THEN 0 ELSE p_paid END);
  END IF;
  UPDATE streaming_sessions
     SET status = s.status, end_reason = s.end_reason, is_late = s.is_late, used_credits = s.used_credits,
         uncollected_credits = s.uncollected_credits, final_tokens = s.final_tokens,
         final_input_tokens = s.final_input_tokens, final_output_tokens = s.final_output_tokens,
         final_cached_tokens = s.final_cached_tokens, provider_cost_usd = s.provider_cost_usd,
         held_lots = v_moved.p_lots, held_credits = v_moved.p_credits, usage_id = v_record.id, completed_at = p_now
   WHERE user_id = s.user_id AND session_id = s.session_id
  RETURNING * INTO s;
  RETURN s;
END
$$;
