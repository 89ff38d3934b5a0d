-- What a call would cost now. Moves nothing.
CREATE OR REPLACE FUNCTION credit_quote(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_model varchar := p ->> 'modelId';
  p_tokens bigint := p ->> 'tokens';
  p_input bigint := p ->> 'inputTokens';
  p_output bigint := p ->> 'outputTokens';
  p_cached bigint := p ->> 'cachedInputTokens';
  v_price price := price_for(p_model, now());
BEGIN
  PERFORM refuse('{modelId,tokens,inputTokens,outputTokens,cachedInputTokens}', ARRAY[
    is_id(p_model, 100),
    coalesce(p_tokens BETWEEN 0 AND 1000000000, p_input IS NOT NULL AND p_output IS NOT NULL),
    coalesce(p_input BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_output BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_cached BETWEEN 0 AND 1000000000, TRUE)]);
  RETURN jsonb_build_object(
    'credits', credits_for_tokens(p_tokens, p_input, p_output, p_cached, v_price),
    'pricingSource', v_price.source, 'pricingRuleId', v_price.rule_id,
    'price', trim_scale(v_price.price)::text, 'inputPrice', trim_scale(v_price.input_price)::text,
    'outputPrice', trim_scale(v_price.output_price)::text, 'cachedInputPrice', trim_scale(v_price.cached_price)::text);
END
$$;
