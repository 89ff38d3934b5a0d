-- What starting a session returns; a repeated start returns the same.
CREATE OR REPLACE FUNCTION session_started_answer(s streaming_sessions, p_outcome text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'outcome', p_outcome, 'id', s.id, 'sessionId', s.session_id, 'accountId', s.account_id, 'userId', s.user_id,
    'modelId', s.model_id, 'estimatedCredits', s.estimated_credits, 'allocatedCredits', s.first_hold, 'usedCredits', 0,
    'status', s.status, 'startedAt', s.started_at, 'expiresAt', s.expires_at, 'completedAt', s.completed_at,
    'remainingCredits', s.remaining_after_hold, 'pricingSource', s.pricing_source,
    'pricedAs', coalesce(s.priced_as, s.model_id),
    'estimateSource', estimate_source(s),
    'maxAffordableTokens', s.max_affordable_tokens)
$$;
