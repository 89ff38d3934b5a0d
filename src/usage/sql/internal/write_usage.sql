-- Writes a new usage record and adds it to the daily roll-up, in the caller's transaction. Its id comes from here.
CREATE OR REPLACE FUNCTION write_usage(p_record usage_records) RETURNS usage_records
LANGUAGE plpgsql AS $$
DECLARE
  v_record usage_records;
BEGIN
  p_record.uncollected_credits := coalesce(p_record.uncollected_credits, 0);
  p_record.counted_as_other := count_usage(p_record);
  INSERT INTO usage_records
    (user_id, timestamp, service, operation, credits, metadata, billing_status, uncollected_credits,
     provider_cost_usd, provider_cost_source, session_id, pricing_rule_id, pricing_source, api_key_id, request_id,
     request_hash, balance_after, counted_as_other)
  VALUES
    (p_record.user_id, p_record.timestamp, p_record.service, p_record.operation, p_record.credits, p_record.metadata,
     p_record.billing_status, p_record.uncollected_credits, p_record.provider_cost_usd,
     p_record.provider_cost_source, p_record.session_id, p_record.pricing_rule_id, p_record.pricing_source,
     p_record.api_key_id, p_record.request_id, p_record.request_hash, p_record.balance_after,
     p_record.counted_as_other)
  RETURNING * INTO v_record;
  IF v_record.billing_status = 'needs_review' THEN PERFORM tell_review(v_record); END IF;
  RETURN v_record;
END
$$;
