-- Notes the tokens a session has generated so far (never fewer than before) and renews its lease. When what was used plus
-- the buffer no longer fits the hold, the hold grows out of the account's lots by at least the buffer of the first estimate,
-- so that it does not grow with every report. Where a maximum was declared, the hold grows only once it is exceeded, if the
-- account can pay for the buffer too, and no buffer exceeds the maximum. shouldStop: the account or a budget cannot hold that much, or the user is no
-- longer a member of it; reason and limits say which. A lease that had ended is then not renewed where budgets count the
-- session, since its place may be taken, and one of a former member never. No lease goes beyond maximumAgeSeconds from the
-- start: at that age the session has ended for its client, and the sweeper settles it.
-- Outcomes: ok, session_not_found, already_ended.
CREATE OR REPLACE FUNCTION session_progress(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_user varchar := p ->> 'userId';
  p_session varchar := p ->> 'sessionId';
  p_generated bigint := p ->> 'tokensGenerated';
  p_buffer_percent integer := p ->> 'bufferPercent';
  p_lease_seconds integer := p ->> 'leaseSeconds';
  p_maximum_age_seconds integer := p ->> 'maximumAgeSeconds';
  p_actor varchar := p ->> 'actor';
  p_api_key bigint := p ->> 'apiKeyId';
  v_lock account_lock := lock_account(p_account);
  v_components jsonb;
  v_generated bigint;
  v_used bigint;
  v_wanted bigint;
  v_ceiling bigint;
  v_missing bigint;
  v_grow bigint := 0;
  v_most bigint;
  v_tokens bigint;
  v_more_tokens bigint := 0;
  v_room call_budgets;
  v_refusal jsonb;
  v_is_lapsed boolean;
  v_is_member boolean := p_account = p_user OR EXISTS (SELECT FROM members WHERE account_id = p_account AND user_id = p_user);
  v_taken record;
  v_end timestamptz;
  s streaming_sessions;
  v_checks boolean[] := ARRAY[
    p_generated BETWEEN 0 AND 1000000000,
    p_buffer_percent BETWEEN 0 AND 1000,
    p_lease_seconds BETWEEN 1 AND 86400,
    p_maximum_age_seconds > 0,
    char_length(p_actor) BETWEEN 1 AND 64];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{tokensGenerated,bufferPercent,leaseSeconds,maximumAgeSeconds,actor}', v_checks);
  END IF;
  SELECT * INTO s FROM streaming_sessions WHERE account_id = p_account AND user_id = p_user AND session_id = p_session;
  IF NOT FOUND OR (p_api_key IS NOT NULL AND NOT api_key_sees(p_account, p_api_key, s.api_key_id)) THEN
    PERFORM refuse('{accountId,userId,sessionId}', ARRAY[is_account_id(p_account), is_user_id(p_user), is_id(p_session, 100)]);
    RETURN '{"outcome": "session_not_found"}';
  END IF;
  v_end := s.started_at + make_interval(secs => p_maximum_age_seconds);
  IF s.status <> 'active' OR v_end <= v_lock.locked_at THEN RETURN '{"outcome": "already_ended"}'; END IF;
  v_generated := greatest(s.tokens_generated, p_generated);
  v_components := components_of(s.pricing_rule_id);
  v_used := (price_call(v_components, session_quantities(s, v_generated), 'standard')).credits;
  v_most := CASE WHEN v_is_member THEN v_lock.available ELSE 0 END;
  IF s.periods IS NOT NULL THEN
    v_room := period_room(v_lock, s.periods);
    IF v_room.ended_raises IS NOT NULL THEN PERFORM budget_alerts(p_account, v_room.ended_raises); END IF;
    v_most := greatest(least(v_most, v_room.credits), 0);
    v_tokens := ceil((v_generated + coalesce(s.estimated_input_tokens, 0)) * (100 + p_buffer_percent) * 0.01);
    IF s.max_output_tokens IS NOT NULL THEN
      v_tokens := least(v_tokens, s.estimated_input_tokens + greatest(v_generated, s.max_output_tokens));
    END IF;
    v_more_tokens := greatest(least(v_tokens - s.held_tokens, v_room.tokens), 0);
  END IF;
  v_wanted := ceil(v_used * (100 + p_buffer_percent) * 0.01);
  IF v_wanted > s.allocated_credits AND s.max_output_tokens IS NOT NULL THEN
    v_ceiling := (price_call(v_components, session_quantities(s, greatest(v_generated, s.max_output_tokens)), 'standard')).credits;
    v_wanted := least(v_wanted, v_ceiling);
    IF v_used <= s.allocated_credits AND v_wanted <= s.allocated_credits + v_most THEN v_wanted := s.allocated_credits; END IF;
  END IF;
  v_missing := v_wanted - s.allocated_credits;
  IF v_missing > 0 THEN
    v_grow := least(v_most, v_ceiling - s.allocated_credits,
                    greatest(v_missing, ceil(s.estimated_credits * p_buffer_percent * 0.01)::bigint));
  END IF;
  v_is_lapsed := s.expires_at <= v_lock.locked_at;
  IF v_missing > v_grow OR v_tokens > s.held_tokens + v_more_tokens OR v_is_lapsed AND s.periods IS NOT NULL THEN
    v_refusal := budget_refusal(
      v_lock, v_room, (greatest(v_missing, 0), greatest(v_tokens - s.held_tokens, 0), 0,
                       CASE WHEN v_is_lapsed THEN 1 ELSE 0 END));
  END IF;
  IF NOT v_is_member THEN
    v_refusal := '{"outcome": "not_a_member", "limits": []}';
    v_more_tokens := 0;
  END IF;
  IF v_grow > 0 THEN
    v_taken := take_credits(
      v_lock, (p_user, 'hold', p_session, NULL, p_actor, NULL, s.unit_id, s.api_key_id), v_grow, v_grow, s.held_lots, s.held_credits);
    s.held_lots := v_taken.lots;
    s.held_credits := v_taken.credits;
  END IF;
  IF v_grow > 0 AND s.periods IS NOT NULL OR v_more_tokens > 0 THEN
    -- Events of the periods may have changed them since they were looked at.
    PERFORM hold_budgets(
      p_account, ARRAY(SELECT ctid FROM budget_periods WHERE account_id = p_account AND id = ANY (s.periods)), v_grow,
      v_more_tokens, 0);
  END IF;
  IF v_is_member AND NOT (v_is_lapsed AND v_refusal IS NOT NULL AND s.periods IS NOT NULL) THEN
    s.expires_at := least(v_lock.locked_at + make_interval(secs => p_lease_seconds), v_end);
  END IF;
  UPDATE streaming_sessions
     SET tokens_generated = v_generated, used_credits = v_used, allocated_credits = allocated_credits + v_grow,
         held_lots = s.held_lots, held_credits = s.held_credits, held_tokens = held_tokens + v_more_tokens,
         expires_at = s.expires_at
   WHERE account_id = p_account AND user_id = p_user AND session_id = p_session
  RETURNING * INTO s;
  IF s.periods IS NOT NULL THEN
    UPDATE session_places SET expires_at = s.expires_at WHERE account_id = p_account AND session = s.id;
  END IF;
  RETURN jsonb_build_object(
    'outcome', 'ok', 'sessionId', p_session, 'status', s.status, 'tokensGenerated', s.tokens_generated,
    'usedCredits', s.used_credits, 'allocatedCredits', s.allocated_credits, 'shouldStop', v_refusal IS NOT NULL,
    'reason', v_refusal -> 'outcome', 'limits', coalesce(v_refusal -> 'limits', '[]'),
    'maxAffordableTokens', session_affordable_tokens(
      s.estimated_tokens, s.estimated_input_tokens, v_components, s.allocated_credits + v_most - v_grow,
      s.held_tokens + CASE WHEN v_room.tokens < 0 THEN 0 ELSE v_room.tokens END - v_more_tokens),
    'expiresAt', s.expires_at);
END
$$;
