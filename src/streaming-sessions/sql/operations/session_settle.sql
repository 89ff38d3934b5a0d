-- Ends a session by its client: p_reason is finalized (with p_success, and p_tokens or the classes) or aborted (with
-- p_tokens, or NULL for the last progress). Repeated with the same numbers it gives the same answer; a session that
-- timed out is settled once more by a late finalize.
-- Outcomes: ok, session_not_found, already_ended, balance_limit.
CREATE OR REPLACE FUNCTION session_settle(
  p_user varchar, p_session varchar, p_reason varchar, p_success boolean, p_tokens bigint, p_input bigint,
  p_output bigint, p_cached bigint, p_cost numeric, p_actor varchar
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_now timestamptz := v_lock.locked_at;
  v_status varchar := CASE WHEN p_reason = 'finalized' AND p_success THEN 'completed' ELSE 'failed' END;
  v_paid bigint;
  v_metadata jsonb;
  s streaming_sessions;
  v_checks boolean[] := ARRAY[
    is_user_id(p_user),
    is_id(p_session, 100),
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
    PERFORM refuse('{userId,sessionId,reason,success,actualTokens,inputTokens,outputTokens,cachedInputTokens,providerCostUsd,actor}', v_checks);
  END IF;
  SELECT * INTO s FROM streaming_sessions WHERE user_id = p_user AND session_id = p_session;
  IF NOT FOUND THEN RETURN '{"outcome": "session_not_found"}'; END IF;
  IF p_reason = 'aborted' THEN p_tokens := coalesce(p_tokens, s.tokens_generated); END IF;
  IF (s.end_reason, s.status, s.final_tokens, s.final_input_tokens, s.final_output_tokens, s.final_cached_tokens,
      s.provider_cost_usd)
     IS NOT DISTINCT FROM (p_reason, v_status, p_tokens, p_input, p_output, p_cached, p_cost) THEN
    RETURN session_settled_answer(s);
  END IF;
  IF s.status <> 'active' AND NOT (s.end_reason = 'timeout' AND p_reason = 'finalized') THEN
    RETURN '{"outcome": "already_ended"}';
  END IF;
  -- What a time-out has charged is told by its record, which a review may have settled since.
  v_paid := CASE WHEN s.status = 'active' THEN s.allocated_credits
                 ELSE (SELECT credits - uncollected_credits FROM usage_records
                        WHERE user_id = p_user AND id = s.usage_id) END;
  s.is_late := s.status <> 'active' OR s.expires_at <= v_now;
  s.status := v_status;
  s.end_reason := p_reason;
  s.final_tokens := p_tokens;
  s.final_input_tokens := p_input;
  s.final_output_tokens := p_output;
  s.final_cached_tokens := p_cached;
  s.provider_cost_usd := p_cost;
  v_metadata := jsonb_build_object('sessionId', p_session, 'duration',
                                   round(extract(epoch FROM v_now - s.started_at), 3));
  IF p_reason = 'aborted' THEN
    s.used_credits := session_cost(s, p_tokens);
    v_metadata := v_metadata || jsonb_build_object('partialTokens', p_tokens);
  ELSE
    s.used_credits := credits_for_tokens(p_tokens, p_input, p_output, p_cached, s.price_per_1k, s.input_price_per_1k,
                                         s.output_price_per_1k, s.cached_price_per_1k);
    v_metadata := v_metadata || jsonb_strip_nulls(jsonb_build_object(
      'tokens', coalesce(p_tokens, p_input + p_output + coalesce(p_cached, 0)), 'inputTokens', p_input,
      'outputTokens', p_output, 'cachedInputTokens', p_cached, 'estimatedCredits', s.estimated_credits));
  END IF;
  -- A late finalize may return credits to a balance that has meanwhile been filled. It must not exceed 2^53 - 1, the largest
  -- integer that JSON clients read exactly.
  IF s.usage_id IS NOT NULL AND v_balance.available + v_balance.held + v_paid - s.used_credits > 9007199254740991 THEN
    RETURN '{"outcome": "balance_limit"}';
  END IF;
  s := session_close(s, v_balance.available, v_paid,
                     CASE WHEN p_reason = 'aborted' THEN 'chat-streaming-aborted'
                          WHEN p_success THEN 'chat-streaming' ELSE 'chat-streaming-failed' END,
                     v_metadata, p_actor, v_now);
  RETURN session_settled_answer(s);
END
$$;
