-- What ending a session returns, from the session's own row: so a repeated call returns the same.
CREATE OR REPLACE FUNCTION session_settled_answer(s streaming_sessions) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'outcome', 'ok', 'id', s.id, 'sessionId', s.session_id, 'accountId', s.account_id, 'userId', s.user_id,
    'status', s.status, 'endReason', s.end_reason, 'estimatedCredits', s.estimated_credits,
    'actualCredits', s.used_credits, 'refund', greatest(s.allocated_credits - s.used_credits + s.doubtful_credits, 0),
    'overage', greatest(s.used_credits - s.doubtful_credits - s.allocated_credits, 0), 'uncollected', s.uncollected_credits,
    'estimateSource', estimate_source(s), 'firstHold', s.first_hold, 'allocatedCredits', s.allocated_credits,
    'overrun', coalesce(s.overrun, '[]'),
    'late', s.is_late, 'completedAt', s.completed_at)
$$;
