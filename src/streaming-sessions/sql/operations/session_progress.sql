-- Takes note of the tokens a session has generated so far (never fewer than before) and renews its lease. When what
-- was used plus the buffer no longer fits the hold, the hold grows out of the user's lots by at least the buffer of the
-- first estimate, so that it does not grow with every report. shouldStop: the user, or the API key it was started with, cannot hold that much.
-- No lease goes beyond the maximum age, counted from the start (NULL: there is none); at that age the session has ended
-- for its client, and the sweeper settles it.
-- Outcomes: ok, session_not_found, already_ended.
CREATE OR REPLACE FUNCTION session_progress(
  p_user varchar, p_session varchar, p_generated bigint, p_buffer_percent integer, p_lease_seconds integer,
  p_actor varchar, p_maximum_age_seconds integer DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_now timestamptz := v_lock.locked_at;
  v_missing bigint;
  v_grow bigint := 0;
  v_most bigint;
  v_taken record;
  v_end timestamptz;
  s streaming_sessions;
  v_checks boolean[] := ARRAY[
    is_user_id(p_user),
    is_id(p_session, 100),
    p_generated BETWEEN 0 AND 1000000000,
    p_buffer_percent BETWEEN 0 AND 1000,
    p_lease_seconds BETWEEN 1 AND 86400,
    char_length(p_actor) BETWEEN 1 AND 64];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{userId,sessionId,tokensGenerated,bufferPercent,leaseSeconds,actor}', v_checks);
  END IF;
  SELECT * INTO s FROM streaming_sessions WHERE user_id = p_user AND session_id = p_session;
  IF NOT FOUND THEN RETURN '{"outcome": "session_not_found"}'; END IF;
  v_end := s.started_at + make_interval(secs => p_maximum_age_seconds);
  IF s.status <> 'active' OR v_end <= v_now THEN RETURN '{"outcome": "already_ended"}'; END IF;
  s.tokens_generated := greatest(s.tokens_generated, p_generated);
  s.used_credits := session_cost(s, s.tokens_generated);
  v_most := least(v_balance.available,
                  CASE WHEN s.api_key_id IS NOT NULL THEN api_key_room(p_user, s.api_key_id) END);
  v_missing := ceil(s.used_credits * (100 + p_buffer_percent) * 0.01)::bigint - s.allocated_credits;
  IF v_missing > 0 THEN
    v_grow := least(v_most,
                    greatest(v_missing, ceil(s.estimated_credits * p_buffer_percent * 0.01)::bigint));
    v_taken := take_credits(p_user, v_grow, 'hold', p_session, NULL, p_actor, NULL, v_now,
                            v_balance.available, s.held_lots, s.held_credits);
    UPDATE credit_balances SET available = v_taken.p_available, held = held + v_grow
     WHERE user_id = p_user AND v_grow > 0;
    IF s.api_key_id IS NOT NULL THEN PERFORM api_key_count(p_user, s.api_key_id, v_grow, 0); END IF;
    s.held_lots := v_taken.p_lots;
    s.held_credits := v_taken.p_credits;
  END IF;
  UPDATE streaming_sessions
     SET tokens_generated = s.tokens_generated, used_credits = s.used_credits,
         allocated_credits = allocated_credits + v_grow, held_lots = s.held_lots, held_credits = s.held_credits,
         expires_at = least(v_now + make_interval(secs => p_lease_seconds), v_end)
   WHERE user_id = p_user AND session_id = p_session
  RETURNING * INTO s;
  RETURN jsonb_build_object(
    'outcome', 'ok', 'sessionId', p_session, 'status', s.status, 'tokensGenerated', s.tokens_generated,
    'usedCredits', s.used_credits, 'allocatedCredits', s.allocated_credits, 'shouldStop', v_missing > v_grow,
    'maxAffordableTokens', session_affordable_tokens(s, s.allocated_credits + v_most - v_grow),
    'expiresAt', s.expires_at);
END
$$;
