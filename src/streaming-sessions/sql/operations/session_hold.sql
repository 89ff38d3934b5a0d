-- Starts a streaming session: prices the estimate, holds it plus the buffer, pins the price. The estimate is
-- estimatedTokens, or estimatedInputTokens and estimatedOutputTokens. With maxOutputTokens, the most that the caller lets the
-- model generate, estimatedOutputTokens is what its calls are known to need, or NULL: the maximum. Such a hold has no buffer:
-- it grows where that was too little.
-- Outcomes: created, repeated (same content again), conflict (other content), already_ended, user_not_found (also where
-- the user is not a member of the account), insufficient, budget_exceeded, limit_exceeded, unpriced (only with
-- rejectUnpriced).
CREATE OR REPLACE FUNCTION session_hold(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_user varchar := p ->> 'userId';
  p_session varchar := p ->> 'sessionId';
  p_model varchar := p ->> 'modelId';
  p_tokens bigint := p ->> 'estimatedTokens';
  p_input bigint := p ->> 'estimatedInputTokens';
  p_max_output bigint := p ->> 'maxOutputTokens';
  p_output bigint := coalesce(least((p ->> 'estimatedOutputTokens')::bigint, p_max_output), p_max_output);
  p_buffer_percent integer := CASE WHEN p_max_output IS NULL THEN p ->> 'bufferPercent' ELSE '0' END;
  p_lease_seconds integer := p ->> 'leaseSeconds';
  p_reject_unpriced boolean := p ->> 'rejectUnpriced';
  p_actor varchar := p ->> 'actor';
  p_api_key bigint := p ->> 'apiKeyId';
  p_tags jsonb := nullif(p -> 'tags', 'null');
  v_lock account_lock := lock_account(p_account);
  v_rule model_rule;
  v_path bigint[];
  v_unit bigint;
  v_budgets call_budgets;
  v_tokens bigint := coalesce(p_tokens, p_input + p_output);
  v_estimate bigint;
  v_hold bigint;
  v_affordable bigint;
  v_taken record;
  v_answer jsonb;
  s streaming_sessions;
  v_checks boolean[] := ARRAY[
    is_id(p_session, 100),
    is_id(p_model, 100),
    coalesce(p_tokens BETWEEN 0 AND 1000000000, p_input IS NOT NULL AND p_output IS NOT NULL),
    coalesce(p_input BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_output BETWEEN 0 AND 1000000000, TRUE),
    p_max_output IS NULL OR p_max_output BETWEEN 0 AND 1000000000 AND p_tokens IS NULL,
    p_buffer_percent BETWEEN 0 AND 1000,
    p_lease_seconds BETWEEN 1 AND 86400,
    p_reject_unpriced IS NOT NULL,
    char_length(p_actor) BETWEEN 1 AND 64];
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
    PERFORM refuse('{sessionId,modelId,estimatedTokens,estimatedInputTokens,estimatedOutputTokens,maxOutputTokens,bufferPercent,leaseSeconds,rejectUnpriced,actor}', v_checks);
  END IF;
  IF v_lock.account_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF p_account <> p_user AND v_path IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF p_tags IS NOT NULL THEN PERFORM refuse('{tags}', ARRAY[is_tags(p_tags)]); END IF;
  SELECT * INTO s FROM streaming_sessions WHERE account_id = p_account AND user_id = p_user AND session_id = p_session;
  IF FOUND THEN
    RETURN CASE
      WHEN (s.model_id, s.estimated_tokens, s.estimated_input_tokens, s.max_output_tokens, s.tags)
           IS DISTINCT FROM (p_model, p_tokens, p_input, p_max_output, p_tags)
           OR p_max_output IS NULL AND s.estimated_output_tokens IS DISTINCT FROM p_output
           OR (p_api_key IS NOT NULL AND NOT api_key_sees(p_account, p_api_key, s.api_key_id)) THEN '{"outcome": "conflict"}'
      WHEN s.status <> 'active' THEN '{"outcome": "already_ended"}'
      ELSE session_started_answer(s, 'repeated') END;
  END IF;
  v_rule := rule_for(p_model, v_lock.locked_at);
  IF p_reject_unpriced AND v_rule.source = 'fallback' THEN RETURN '{"outcome": "unpriced"}'; END IF;
  v_estimate := (price_call(
    v_rule.components, CASE WHEN p_tokens IS NOT NULL THEN jsonb_build_object('tokens', p_tokens)
                    ELSE jsonb_build_object('input', p_input, 'output', p_output) END, 'standard')).credits;
  v_hold := ceil(v_estimate * (100 + p_buffer_percent) * 0.01);
  IF v_lock.has_budgets OR p_api_key IS NOT NULL THEN
    v_budgets := find_budgets(v_lock, p_user, v_path, p_api_key, p_model, v_rule.model_id, p_tags);
  END IF;
  IF v_hold > v_lock.available OR v_hold > v_budgets.credits OR v_tokens > v_budgets.tokens OR v_budgets.requests < 1
     OR v_budgets.sessions < 1 THEN
    v_answer := budget_refusal(v_lock, v_budgets, (v_hold, v_tokens, 1, 1));
    IF v_answer IS NOT NULL THEN
      RETURN v_answer || jsonb_build_object('maxAffordableTokens', session_affordable_tokens(
        p_tokens, p_input, v_rule.components,
        div(greatest(least(v_lock.available, v_budgets.credits), 0) * 100::numeric, 100 + p_buffer_percent)::bigint,
        v_budgets.tokens, least(v_budgets.requests, v_budgets.sessions)));
    END IF;
  END IF;
  IF p_max_output IS NOT NULL THEN
    v_affordable := session_affordable_tokens(
      NULL, p_input, v_rule.components, least(v_lock.available, v_budgets.credits), v_budgets.tokens);
  END IF;
  v_taken := take_credits(v_lock, (p_user, 'hold', p_session, NULL, p_actor, NULL, v_unit, p_api_key), v_hold, v_hold, '{}', '{}');
  IF v_budgets.periods IS NOT NULL THEN
    PERFORM hold_budgets(p_account, v_budgets.periods, v_hold, v_tokens, 1);
  END IF;
  INSERT INTO streaming_sessions
    (account_id, user_id, session_id, model_id, pricing_rule_id, pricing_source, priced_as, api_key_id, unit_id, tags,
     periods, held_tokens, estimated_tokens, estimated_input_tokens, estimated_output_tokens, max_output_tokens,
     max_affordable_tokens, estimated_credits, first_hold,
     remaining_after_hold, allocated_credits, held_lots, held_credits, started_at, expires_at)
  VALUES
    (p_account, p_user, p_session, p_model, v_rule.id, v_rule.source, nullif(v_rule.model_id, p_model), p_api_key, v_unit,
     p_tags, v_budgets.periods, v_tokens, p_tokens, p_input, p_output, p_max_output,
     v_affordable, v_estimate, v_hold, may_still_spend(v_lock, p_user, v_budgets) - v_hold,
     v_hold, v_taken.lots, v_taken.credits, v_lock.locked_at, v_lock.locked_at + make_interval(secs => p_lease_seconds))
  RETURNING * INTO s;
  IF v_budgets.sessions IS NOT NULL THEN
    INSERT INTO session_places (account_id, period_id, session, expires_at)
    SELECT p_account, id, s.id, s.expires_at
      FROM budget_periods WHERE account_id = p_account AND id = ANY (v_budgets.periods) AND unit = 'sessions';
  END IF;
  RETURN session_started_answer(s, 'created');
END
$$;
