-- Tells that a finished call waits for a review, or waits no more.
CREATE OR REPLACE FUNCTION tell_review(p_record usage_records) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_data jsonb := jsonb_build_object(
    'usageId', p_record.id, 'version', p_record.version, 'service', p_record.service, 'operation', p_record.operation, 'credits', p_record.credits,
    'uncollectedCredits', p_record.uncollected_credits, 'requestId', p_record.request_id,
    'sessionId', p_record.session_id);
BEGIN
  IF p_record.billing_status = 'needs_review' THEN
    PERFORM write_event(p_record.user_id, 'usage.needs_review', v_data);
  ELSE
    PERFORM write_event(p_record.user_id, 'usage.settled',
                        v_data || jsonb_build_object('billingStatus', p_record.billing_status));
  END IF;
END
$$;
