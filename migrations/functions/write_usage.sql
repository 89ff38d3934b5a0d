-- Writes one usage record and adds it to the daily roll-up, in the caller's transaction.
CREATE OR REPLACE FUNCTION write_usage(
  p_user varchar, p_at timestamptz, p_service varchar, p_operation varchar, p_credits bigint, p_metadata jsonb,
  p_status varchar, p_uncollected bigint, p_cost numeric, p_session varchar, p_rule bigint, p_source varchar
) RETURNS usage_records
LANGUAGE plpgsql AS $$
DECLARE
  v_record usage_records;
BEGIN
  INSERT INTO usage_records
    (user_id, timestamp, service, operation, credits, metadata, billing_status, uncollected_credits,
     provider_cost_usd, session_id, pricing_rule_id, pricing_source)
  VALUES (p_user, p_at, p_service, p_operation, p_credits, p_metadata, p_status, p_uncollected,
          p_cost, p_session, p_rule, p_source)
  RETURNING * INTO v_record;
  PERFORM count_usage(v_record);
  RETURN v_record;
END
$$;
