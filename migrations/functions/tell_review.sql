-- Tells that a finished call waits for a review.
CREATE OR REPLACE FUNCTION tell_review(p_record usage_records) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM write_event(p_record.user_id, 'usage.needs_review', jsonb_build_object(
    'usageId', p_record.id, 'service', p_record.service, 'operation', p_record.operation, 'credits', p_record.credits,
    'uncollectedCredits', p_record.uncollected_credits, 'requestId', p_record.request_id,
    'sessionId', p_record.session_id));
END
$$;
