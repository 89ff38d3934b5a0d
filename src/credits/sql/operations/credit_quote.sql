-- What a call would cost now. Moves nothing. Outcomes: ok (the quote), unpriced (only with rejectUnpriced).
CREATE OR REPLACE FUNCTION credit_quote(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_model varchar := p ->> 'modelId';
  p_tokens bigint := p ->> 'tokens';
  p_input bigint := p ->> 'inputTokens';
  p_output bigint := p ->> 'outputTokens';
  p_cached bigint := p ->> 'cachedInputTokens';
  p_reject_unpriced boolean := p ->> 'rejectUnpriced';
  v_price price := price_for(p_model, now());
BEGIN
  PERFORM refuse('{modelId,tokens,inputTokens,outputTokens,cachedInputTokens,rejectUnpriced}', ARRAY[
    is_id(p_model, 100),
    coalesce(p_tokens BETWEEN 0 AND 1000000000, p_input IS NOT NULL AND p_output IS NOT NULL),
    coalesce(p_input BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_output BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_cached BETWEEN 0 AND 1000000000, TRUE),
    p_reject_unpriced IS NOT NULL]);
  IF p_reject_unpriced AND v_price.source = 'fallback' THEN RETURN '{"outcome": "unpriced"}'; END IF;
  RETURN jsonb_build_object(
    'outcome', 'ok', 'credits', credits_for_tokens(p_tokens, p_input, p_output, p_cached, v_price),
    'pricingSource', v_price.source, 'pricingRuleId', v_price.rule_id,
    'price', trim_scale(v_price.price)::text, 'inputPrice', trim_scale(v_price.input_price)::text,
    'outputPrice', trim_scale(v_price.output_price)::text, 'cachedInputPrice', trim_scale(v_price.cached_price)::text);
END
$$;
