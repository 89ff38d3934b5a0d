-- What ending a session came to, from the session's own row: so a repeated call gets the same answer.
CREATE OR REPLACE FUNCTION session_settled_answer(p_session streaming_sessions) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'outcome', 'ok', 'sessionId', p_session.session_id, 'status', p_session.status,
    'endReason', p_session.end_reason, 'estimatedCredits', p_session.estimated_credits,
    'actualCredits', p_session.used_credits,
    'refund', greatest(p_session.allocated_credits - p_session.used_credits, 0),
    'overage', greatest(p_session.used_credits - p_session.allocated_credits, 0),
    'uncollected', p_session.uncollected_credits, 'late', p_session.is_late)
$$;
