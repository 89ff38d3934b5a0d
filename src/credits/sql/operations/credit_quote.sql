-- What a call would cost now. Moves nothing. Outcomes: ok (the quote), unpriced (only with rejectUnpriced).
CREATE OR REPLACE FUNCTION credit_quote(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_model varchar := p ->> 'modelId';
  p_quantities jsonb := p -> 'quantities';
  p_tier varchar := p ->> 'serviceTier';
  p_reject_unpriced boolean := p ->> 'rejectUnpriced';
  v_rule model_rule;
  v_call call_price;
BEGIN
  PERFORM refuse('{modelId,quantities,serviceTier,rejectUnpriced}', ARRAY[
    is_id(p_model, 100),
    jsonb_typeof(p_quantities) = 'object',
    p_tier IN ('standard', 'batch', 'flex', 'priority'),
    p_reject_unpriced IS NOT NULL]);
  v_rule := rule_for(p_model, now());
  IF p_reject_unpriced AND v_rule.source = 'fallback' THEN RETURN '{"outcome": "unpriced"}'; END IF;
  v_call := price_call(v_rule.components, p_quantities, p_tier, TRUE);
  RETURN jsonb_build_object(
    'outcome', 'ok', 'credits', v_call.credits, 'providerCostUsd', trim_scale(v_call.provider_cost_usd)::text,
    'pricingSource', v_rule.source, 'pricingRuleId', v_rule.id, 'pricedAs', v_rule.model_id,
    'components', v_rule.components, 'classes', v_call.amounts);
END
$$;
