-- session_settle for a caller that counts several ends at once. counts is that of session_close.
CREATE OR REPLACE FUNCTION settle_session(p_account varchar, p jsonb, OUT answer jsonb, INOUT counts session_count[])
LANGUAGE plpgsql AS $$
DECLARE
  p_user varchar := p ->> 'userId';
  p_session varchar := p ->> 'sessionId';
  p_reason varchar := p ->> 'reason';
  p_success boolean := p ->> 'success';
  p_quantities jsonb := p -> 'quantities';
  p_tier varchar := p ->> 'serviceTier';
  p_unexplained bigint := p ->> 'unexplainedTokens';
  p_generated bigint := p ->> 'tokensGenerated';
  p_cost numeric := p ->> 'providerCostUsd';
  p_source varchar := CASE WHEN p ->> 'reason' = 'aborted' THEN 'estimated' ELSE p ->> 'usageSource' END;
  p_actor varchar := p ->> 'actor';
  p_api_key bigint := p ->> 'apiKeyId';
  v_lock account_lock := lock_account(p_account);
  v_status varchar := CASE WHEN p_reason = 'finalized' AND p_success THEN 'completed' ELSE 'failed' END;
  v_components jsonb;
  v_call call_price;
  v_end session_end;
  v_closed record;
  s streaming_sessions;
  v_checks boolean[] := ARRAY[
    p_reason IN ('finalized', 'aborted'),
    p_success IS NOT NULL,
    jsonb_typeof(p_quantities) = 'object' OR p_reason = 'aborted',
    p_tier IN ('standard', 'batch', 'flex', 'priority'),
    coalesce(p_unexplained BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_generated BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_cost BETWEEN 0 AND 1000000000000, TRUE),
    coalesce(p_source IN ('provider', 'drained', 'estimated'), TRUE),
    char_length(p_actor) BETWEEN 1 AND 64];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{reason,success,quantities,serviceTier,usage,tokensGenerated,providerCostUsd,usageSource,actor}', v_checks);
  END IF;
  SELECT * INTO s FROM streaming_sessions WHERE account_id = p_account AND user_id = p_user AND session_id = p_session;
  IF NOT FOUND OR (p_api_key IS NOT NULL AND NOT api_key_sees(p_account, p_api_key, s.api_key_id)) THEN
    PERFORM refuse('{accountId,userId,sessionId}', ARRAY[is_account_id(p_account), is_user_id(p_user), is_id(p_session, 100)]);
    answer := '{"outcome": "session_not_found"}';
    RETURN;
  END IF;
  IF p_reason = 'aborted' THEN
    p_generated := coalesce(p_generated, s.tokens_generated);
    p_quantities := session_quantities(s, p_generated);
  END IF;
  IF s.status <> 'active' THEN
    IF (s.end_reason, s.status, s.final_quantities, s.final_service_tier, s.provider_cost_usd)
       IS NOT DISTINCT FROM (p_reason, v_status, p_quantities, p_tier, p_cost) THEN
      answer := session_settled_answer(s);
      RETURN;
    END IF;
    IF s.end_reason <> 'timeout' THEN
      answer := '{"outcome": "already_ended"}';
      RETURN;
    END IF;
  END IF;
  v_components := components_of(s.pricing_rule_id);
  v_call := price_call(v_components, p_quantities, p_tier);
  v_end := (p_reason, v_status, p_quantities, p_tier, p_cost, v_call,
            CASE WHEN p_unexplained > 0 THEN doubtful_credits(v_components, p_quantities, p_tier, v_call) ELSE 0 END,
            CASE WHEN p_reason = 'aborted' THEN 'chat-streaming-aborted'
                 WHEN p_success THEN 'chat-streaming' ELSE 'chat-streaming-failed' END,
            jsonb_build_object(
              'sessionId', p_session, 'duration', round(extract(epoch FROM v_lock.locked_at - s.started_at), 3))
            || CASE WHEN p_reason = 'aborted' THEN jsonb_build_object('partialTokens', p_generated)
               ELSE jsonb_strip_nulls(jsonb_build_object(
                 'tokens', v_call.tokens, 'inputTokens', p_quantities -> 'input', 'outputTokens', p_quantities -> 'output',
                 'cachedInputTokens', p_quantities -> 'cached_input', 'estimatedCredits', s.estimated_credits)) END,
            p_actor, p_source);
  IF s.status = 'active' THEN
    v_closed := session_close(s, v_lock, v_end, counts);
    answer := v_closed.answer;
    counts := v_closed.counts;
  ELSE
    IF counts IS NOT NULL THEN PERFORM count_ends(p_account, counts); END IF;
    counts := NULL;
    answer := session_correct(s, v_lock, v_end);
  END IF;
END
$$;
