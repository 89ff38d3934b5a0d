-- Emits that a finished call waits for a review, or that it no longer does.
CREATE OR REPLACE FUNCTION emit_review_event(p_account varchar, p_usage bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  r usage_records;
  v_data jsonb;
BEGIN
  SELECT * INTO STRICT r FROM usage_records WHERE account_id = p_account AND id = p_usage;
  v_data := jsonb_build_object(
    'userId', r.user_id, 'unitId', r.unit_id, 'apiKeyId', r.api_key_id, 'tags', r.tags, 'usageId', r.id, 'version', r.version, 'service', r.service, 'operation', r.operation, 'credits', r.credits,
    'uncollectedCredits', r.uncollected_credits, 'requestId', r.request_id, 'sessionId', r.session_id);
  IF r.billing_status = 'needs_review' THEN
    PERFORM write_event(p_account, 'usage.needs_review', v_data);
  ELSE
    PERFORM write_event(p_account, 'usage.settled', v_data || jsonb_build_object('billingStatus', r.billing_status));
  END IF;
END
$$;
