-- Ends a session whose lease has run out: charges the last reported progress and gives the rest back. The sweeper calls
-- it; with p_wait false a busy user is left for later (outcome busy).
-- Outcomes: ok, busy, not_stale (ended or renewed meanwhile).
CREATE OR REPLACE FUNCTION session_timeout(p_user varchar, p_session varchar, p_wait boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record;
  v_balance credit_balances;
  v_now timestamptz;
  s streaming_sessions;
BEGIN
  PERFORM refuse('{userId,sessionId,wait}', ARRAY[
    is_user_id(p_user),
    is_id(p_session, 100),
    p_wait IS NOT NULL]);
  IF NOT p_wait THEN
    PERFORM FROM credit_balances WHERE user_id = p_user FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN '{"outcome": "busy"}'; END IF;
  END IF;
  v_lock := lock_balance(p_user);
  v_balance := v_lock.balance;
  v_now := v_lock.locked_at;
  SELECT * INTO s FROM streaming_sessions
   WHERE user_id = p_user AND session_id = p_session AND status = 'active' AND expires_at <= v_now;
  IF NOT FOUND THEN RETURN '{"outcome": "not_stale"}'; END IF;
  s.status := 'failed';
  s.end_reason := 'timeout';
  s.final_tokens := s.tokens_generated;
  s.used_credits := session_cost(s, s.tokens_generated);
  s := session_close(s, v_balance.available, s.allocated_credits, 'chat-streaming-timeout',
                     jsonb_build_object('sessionId', p_session, 'partialTokens', s.tokens_generated, 'duration',
                                        round(extract(epoch FROM v_now - s.started_at), 3)),
                     'service:accounting', v_now);
  PERFORM write_event(p_user, 'session.timed_out', jsonb_build_object(
    'sessionId', p_session, 'modelId', s.model_id, 'startedAt', iso_time(s.started_at),
    'tokensGenerated', s.tokens_generated, 'heldCredits', s.allocated_credits, 'usedCredits', s.used_credits,
    'uncollectedCredits', s.uncollected_credits));
  RETURN session_settled_answer(s);
END
$$;
