-- Starts a streaming session: prices the estimate, holds it plus the buffer out of the user's lots, pins the price.
-- The estimate is p_tokens, or p_input and p_output.
-- Outcomes: created, repeated (same content again), conflict (other content), already_ended, user_not_found,
-- insufficient, key_limit (of the API key it is started with), unpriced (only with p_reject_unpriced).
CREATE OR REPLACE FUNCTION session_hold(
  p_user varchar, p_session varchar, p_model varchar, p_tokens bigint, p_input bigint, p_output bigint,
  p_buffer_percent integer, p_lease_seconds integer, p_reject_unpriced boolean, p_actor varchar,
  p_api_key bigint DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_now timestamptz := v_lock.locked_at;
  v_price record;
  v_taken record;
  v_most bigint;
  s streaming_sessions;
  v_checks boolean[] := ARRAY[
    is_user_id(p_user),
    is_id(p_session, 100),
    is_id(p_model, 100),
    coalesce(p_tokens BETWEEN 1 AND 1000000000, p_input IS NOT NULL AND p_output IS NOT NULL),
    coalesce(p_input BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_output BETWEEN 0 AND 1000000000, TRUE),
    p_buffer_percent BETWEEN 0 AND 1000,
    p_lease_seconds BETWEEN 1 AND 86400,
    p_reject_unpriced IS NOT NULL,
    char_length(p_actor) BETWEEN 1 AND 64];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{userId,sessionId,modelId,estimatedTokens,estimatedInputTokens,estimatedOutputTokens,bufferPercent,leaseSeconds,rejectUnpriced,actor}', v_checks);
  END IF;
  IF v_balance.user_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  SELECT * INTO s FROM streaming_sessions WHERE user_id = p_user AND session_id = p_session;
  IF FOUND THEN
    RETURN CASE
      WHEN (s.model_id, s.estimated_tokens, s.estimated_input_tokens, s.estimated_output_tokens)
           IS DISTINCT FROM (p_model, p_tokens, p_input, p_output) THEN '{"outcome": "conflict"}'
      WHEN s.status <> 'active' THEN '{"outcome": "already_ended"}'
      ELSE session_started_answer(s, 'repeated') END;
  END IF;
  v_price := price_for(p_model, v_now);
  IF p_reject_unpriced AND v_price.source = 'fallback' THEN RETURN '{"outcome": "unpriced"}'; END IF;
  s.user_id := p_user;
  s.session_id := p_session;
  s.estimated_tokens := p_tokens;
  s.estimated_input_tokens := p_input;
  s.price_per_1k := v_price.price;
  s.input_price_per_1k := v_price.input_price;
  s.output_price_per_1k := v_price.output_price;
  s.estimated_credits := credits_for_tokens(p_tokens, p_input, p_output, NULL, v_price.price, v_price.input_price,
                                            v_price.output_price, NULL);
  s.allocated_credits := ceil(s.estimated_credits * (100 + p_buffer_percent) * 0.01);
  v_most := least(v_balance.available, CASE WHEN p_api_key IS NOT NULL THEN api_key_room(p_user, p_api_key) END);
  IF s.allocated_credits > v_most THEN
    RETURN jsonb_build_object(
      'outcome', CASE WHEN s.allocated_credits > v_balance.available THEN 'insufficient' ELSE 'key_limit' END,
      'requiredCredits', s.allocated_credits, 'availableCredits', v_most,
      'maxAffordableTokens', session_affordable_tokens(s, div(v_most * 100::numeric, 100 + p_buffer_percent)::bigint));
  END IF;
  v_taken := take_credits(p_user, s.allocated_credits, 'hold', p_session, NULL, p_actor, NULL, v_now,
                          v_balance.available, '{}', '{}');
  UPDATE credit_balances SET available = v_taken.p_available, held = held + s.allocated_credits
   WHERE user_id = p_user;
  IF p_api_key IS NOT NULL THEN PERFORM api_key_count(p_user, p_api_key, s.allocated_credits, 0); END IF;
  INSERT INTO streaming_sessions
    (session_id, user_id, model_id, estimated_credits, allocated_credits, estimated_tokens, estimated_input_tokens,
     estimated_output_tokens, pricing_rule_id, pricing_source, price_per_1k, input_price_per_1k, output_price_per_1k,
     cached_price_per_1k, cost_per_1k, input_cost_per_1k, output_cost_per_1k, cached_cost_per_1k, api_key_id, held_lots,
     held_credits, first_hold, remaining_after_hold, started_at, expires_at)
  VALUES
    (p_session, p_user, p_model, s.estimated_credits, s.allocated_credits, p_tokens, p_input,
     p_output, v_price.rule_id, v_price.source, v_price.price, v_price.input_price, v_price.output_price,
     v_price.cached_price, v_price.cost, v_price.input_cost, v_price.output_cost, v_price.cached_cost, p_api_key,
     v_taken.p_lots, v_taken.p_credits, s.allocated_credits, v_taken.p_available, v_now,
     v_now + make_interval(secs => p_lease_seconds))
  RETURNING * INTO s;
  RETURN session_started_answer(s, 'created');
END
$$;
