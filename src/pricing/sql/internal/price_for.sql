-- The price of a model at one instant: the rule in force, else the built-in default, else 1 credit per 1,000 tokens.
CREATE OR REPLACE FUNCTION price_for(p_model varchar, p_at timestamptz) RETURNS price
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_price price;
BEGIN
  SELECT r.id, 'rule', r.price_per_1k_tokens, r.input_price_per_1k_tokens, r.output_price_per_1k_tokens,
         r.cached_input_price_per_1k_tokens, r.provider_cost_per_1k_tokens, r.provider_input_cost_per_1k_tokens,
         r.provider_output_cost_per_1k_tokens, r.provider_cached_cost_per_1k_tokens
    INTO v_price
    FROM pricing_rules r
   WHERE r.model_id = p_model AND r.effective_from <= p_at AND (r.effective_to IS NULL OR r.effective_to > p_at)
   ORDER BY r.effective_from DESC
   LIMIT 1;
  IF FOUND THEN RETURN v_price; END IF;
  v_price.price := CASE p_model
    WHEN 'anthropic.claude-3-sonnet-20240229-v1:0' THEN 3
    WHEN 'anthropic.claude-3-haiku-20240307-v1:0' THEN 0.25
    WHEN 'anthropic.claude-instant-v1' THEN 0.8
    WHEN 'amazon.titan-text-express-v1' THEN 0.3
  END;
  v_price.source := CASE WHEN v_price.price IS NULL THEN 'fallback' ELSE 'default' END;
  v_price.price := coalesce(v_price.price, 1);
  RETURN v_price;
END
$$;
