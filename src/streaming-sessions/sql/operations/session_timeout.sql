-- Ends a session whose lease has run out: charges the last reported progress and gives the rest back. The sweeper calls
-- it; without wait a busy account is left for later (outcome busy), with wait one that stays busy for half a second.
-- Outcomes: ok, busy, not_stale (ended or renewed meanwhile).
CREATE OR REPLACE FUNCTION session_timeout(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_user varchar := p ->> 'userId';
  p_session varchar := p ->> 'sessionId';
  p_wait boolean := p ->> 'wait';
  v_lock account_lock;
  v_quantities jsonb;
  v_closed record;
  s streaming_sessions;
BEGIN
  PERFORM refuse('{accountId,userId,sessionId,wait}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_user),
    is_id(p_session, 100),
    p_wait IS NOT NULL]);
  IF p_wait THEN
    BEGIN
      PERFORM set_config('lock_timeout', '500', TRUE);
      PERFORM FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE;
    EXCEPTION WHEN lock_not_available THEN
      RETURN '{"outcome": "busy"}';
    END;
  ELSE
    PERFORM FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN '{"outcome": "busy"}'; END IF;
  END IF;
  v_lock := lock_account(p_account);
  SELECT * INTO s FROM streaming_sessions
   WHERE account_id = p_account AND user_id = p_user AND session_id = p_session AND status = 'active'
     AND expires_at <= v_lock.locked_at;
  IF NOT FOUND THEN RETURN '{"outcome": "not_stale"}'; END IF;
  v_quantities := session_quantities(s, s.tokens_generated);
  v_closed := session_close(s, v_lock, (
    'timeout', 'failed', v_quantities, 'standard', NULL, price_call(components_of(s.pricing_rule_id), v_quantities, 'standard'), 0,
    'chat-streaming-timeout',
    jsonb_build_object('sessionId', p_session, 'partialTokens', s.tokens_generated,
                       'duration', round(extract(epoch FROM v_lock.locked_at - s.started_at), 3)),
    'service:accounting', 'estimated'), NULL);
  IF v_closed.counts IS NOT NULL THEN PERFORM count_ends(p_account, v_closed.counts); END IF;
  PERFORM write_event(p_account, 'session.timed_out', jsonb_build_object(
    'sessionId', p_session, 'userId', p_user, 'unitId', s.unit_id, 'apiKeyId', s.api_key_id, 'tags', s.tags, 'modelId', s.model_id, 'startedAt', iso_time(s.started_at),
    'tokensGenerated', s.tokens_generated, 'heldCredits', s.allocated_credits, 'usedCredits', v_closed.answer -> 'actualCredits',
    'uncollectedCredits', v_closed.answer -> 'uncollected'));
  RETURN v_closed.answer;
END
$$;
