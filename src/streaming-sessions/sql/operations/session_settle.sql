-- Ends a session by its client: reason is finalized (with success, and tokens or the classes) or aborted (with tokens, or
-- NULL for the last progress). Repeated with the same numbers it returns the same; a session that timed out is settled
-- once more by a late finalize or abort.
-- Outcomes: ok, session_not_found, already_ended, balance_limit.
CREATE OR REPLACE FUNCTION session_settle(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_account varchar := p ->> 'accountId';
  p_user varchar := p ->> 'userId';
  p_session varchar := p ->> 'sessionId';
  p_reason varchar := p ->> 'reason';
  p_success boolean := p ->> 'success';
  p_tokens bigint := p ->> 'tokens';
  p_input bigint := p ->> 'inputTokens';
  p_output bigint := p ->> 'outputTokens';
  p_cached bigint := p ->> 'cachedInputTokens';
  p_cost numeric := p ->> 'providerCostUsd';
  p_actor varchar := p ->> 'actor';
  p_api_key bigint := p ->> 'apiKeyId';
  v_lock account_lock := lock_account(p_account);
  v_status varchar := CASE WHEN p_reason = 'finalized' AND p_success THEN 'completed' ELSE 'failed' END;
  v_price price;
  v_end session_end;
  s streaming_sessions;
  v_checks boolean[] := ARRAY[
    p_reason IN ('finalized', 'aborted'),
    p_success IS NOT NULL,
    coalesce(p_tokens BETWEEN 0 AND 1000000000,
             p_reason = 'aborted' OR (p_input IS NOT NULL AND p_output IS NOT NULL)),
    coalesce(p_input BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_output BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_cached BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_cost BETWEEN 0 AND 1000000000000, TRUE),
    char_length(p_actor) BETWEEN 1 AND 64];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{reason,success,actualTokens,inputTokens,outputTokens,cachedInputTokens,providerCostUsd,actor}', v_checks);
  END IF;
  SELECT * INTO s FROM streaming_sessions WHERE account_id = p_account AND user_id = p_user AND session_id = p_session;
  IF NOT FOUND OR (p_api_key IS NOT NULL AND NOT api_key_sees(p_account, p_api_key, s.api_key_id)) THEN
    PERFORM refuse('{accountId,userId,sessionId}', ARRAY[is_account_id(p_account), is_user_id(p_user), is_id(p_session, 100)]);
    RETURN '{"outcome": "session_not_found"}';
  END IF;
  IF p_reason = 'aborted' THEN p_tokens := coalesce(p_tokens, s.tokens_generated); END IF;
  IF s.status <> 'active' THEN
    IF (s.end_reason, s.status, s.final_tokens, s.final_input_tokens, s.final_output_tokens, s.final_cached_tokens,
        s.provider_cost_usd)
       IS NOT DISTINCT FROM (p_reason, v_status, p_tokens, p_input, p_output, p_cached, p_cost) THEN
      RETURN session_settled_answer(s);
    END IF;
    IF s.end_reason <> 'timeout' THEN RETURN '{"outcome": "already_ended"}'; END IF;
  END IF;
  v_price := pinned_price(s.pricing_rule_id, s.model_id);
  IF p_reason = 'finalized' THEN
    v_end := (p_reason, v_status, p_tokens, p_input, p_output, p_cached, p_cost,
              credits_for_tokens(p_tokens, p_input, p_output, p_cached, v_price),
              coalesce(p_cost, cost_for_tokens(p_tokens, p_input, p_output, p_cached, v_price)),
              CASE WHEN p_success THEN 'chat-streaming' ELSE 'chat-streaming-failed' END,
              jsonb_strip_nulls(jsonb_build_object(
                'sessionId', p_session, 'duration', round(extract(epoch FROM v_lock.locked_at - s.started_at), 3),
                'tokens', coalesce(p_tokens, p_input + p_output + coalesce(p_cached, 0)), 'inputTokens', p_input,
                'outputTokens', p_output, 'cachedInputTokens', p_cached, 'estimatedCredits', s.estimated_credits)),
              p_actor);
  ELSE
    v_end := (p_reason, v_status, p_tokens, p_input, p_output, p_cached, p_cost, session_cost(s, p_tokens, v_price),
              coalesce(p_cost, session_provider_cost(s, p_tokens, v_price)), 'chat-streaming-aborted',
              jsonb_build_object(
                'sessionId', p_session, 'duration', round(extract(epoch FROM v_lock.locked_at - s.started_at), 3),
                'partialTokens', p_tokens),
              p_actor);
  END IF;
  IF s.status = 'active' THEN
    RETURN session_close(s, v_lock, v_end);
  END IF;
  RETURN session_correct(s, v_lock, v_end);
END
$$;
