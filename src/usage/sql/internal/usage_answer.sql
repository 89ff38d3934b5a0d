-- A usage record as the service answers it.
CREATE OR REPLACE FUNCTION usage_answer(p_record usage_records) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'outcome', 'ok', 'id', p_record.id, 'version', p_record.version, 'userId', p_record.user_id, 'timestamp', p_record.timestamp,
    'service', p_record.service, 'operation', p_record.operation, 'credits', p_record.credits,
    'metadata', p_record.metadata, 'billingStatus', p_record.billing_status,
    'uncollectedCredits', p_record.uncollected_credits,
    'providerCostUsd', trim_scale(p_record.provider_cost_usd)::text,
    'providerCostSource', p_record.provider_cost_source, 'requestId', p_record.request_id,
    'apiKeyId', p_record.api_key_id, 'sessionId', p_record.session_id, 'pricingRuleId', p_record.pricing_rule_id,
    'pricingSource', p_record.pricing_source,
    'reviewAction', p_record.review_action, 'reviewedBy', p_record.reviewed_by, 'reviewedAt', p_record.reviewed_at)
$$;
