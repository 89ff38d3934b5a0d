-- A usage record as the API returns it. The only place that says so: operations and the service's own reads use it.
CREATE OR REPLACE FUNCTION usage_json(r usage_records) RETURNS json
LANGUAGE sql STABLE AS $$
  SELECT json_build_object(
    'id', r.id, 'version', r.version, 'accountId', r.account_id, 'userId', r.user_id, 'timestamp', r.timestamp,
    'service', r.service, 'operation', r.operation, 'credits', r.credits, 'metadata', r.metadata,
    'billingStatus', r.billing_status, 'uncollectedCredits', r.uncollected_credits,
    'providerCostUsd', trim_scale(r.provider_cost_usd)::text, 'providerCostSource', r.provider_cost_source,
    'requestId', r.request_id, 'apiKeyId', r.api_key_id, 'unitId', r.unit_id, 'tags', r.tags, 'sessionId', r.session_id, 'pricingRuleId', r.pricing_rule_id,
    'pricingSource', r.pricing_source, 'pricedAs', CASE WHEN r.pricing_rule_id IS NOT NULL THEN coalesce(r.priced_as, r.operation) END,
    'quantities', r.quantities, 'usageSource', r.usage_source, 'serviceTier', r.service_tier,
    'pricingNotes', coalesce(to_json(r.fallback_classes), '[]'), 'reviewAction', r.review_action, 'reviewedBy', r.reviewed_by,
    'reviewedAt', r.reviewed_at)
$$;
