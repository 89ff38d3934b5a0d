-- A session as its start answers it; a repeated start gives the same.
CREATE OR REPLACE FUNCTION session_started_answer(p_session streaming_sessions, p_outcome text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'outcome', p_outcome, 'sessionId', p_session.session_id, 'userId', p_session.user_id,
    'modelId', p_session.model_id, 'estimatedCredits', p_session.estimated_credits,
    'allocatedCredits', p_session.first_hold, 'usedCredits', 0,
    'status', p_session.status, 'startedAt', p_session.started_at, 'expiresAt', p_session.expires_at,
    'remainingCredits', p_session.remaining_after_hold, 'pricingSource', p_session.pricing_source)
$$;
