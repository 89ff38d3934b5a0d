-- The price of a model at one instant: the rule in force, else the built-in default, else 1 credit per 1,000 tokens.
CREATE OR REPLACE FUNCTION price_for(
  p_model varchar, p_at timestamptz,
  OUT rule_id bigint, OUT source text,
  OUT price numeric, OUT input_price numeric, OUT output_price numeric, OUT cached_price numeric,
  OUT cost numeric, OUT input_cost numeric, OUT output_cost numeric, OUT cached_cost numeric
)
LANGUAGE plpgsql STABLE AS $$
BEGIN
  SELECT r.id, 'rule', r.price_per_1k_tokens, r.input_price_per_1k_tokens, r.output_price_per_1k_tokens,
         r.cached_input_price_per_1k_tokens, r.provider_cost_per_1k_tokens, r.provider_input_cost_per_1k_tokens,
         r.provider_output_cost_per_1k_tokens, r.provider_cached_cost_per_1k_tokens
    INTO rule_id, source, price, input_price, output_price, cached_price, cost, input_cost, output_cost, cached_cost
    FROM pricing_rules r
   WHERE r.model_id = p_model AND r.effective_from <= p_at AND (r.effective_to IS NULL OR r.effective_to > p_at)
   ORDER BY r.effective_from DESC
   LIMIT 1;
  IF FOUND THEN RETURN; END IF;
  price := CASE p_model
    WHEN 'anthropic.claude-3-sonnet-20240229-v1:0' THEN 3
    WHEN 'anthropic.claude-3-haiku-20240307-v1:0' THEN 0.25
    WHEN 'anthropic.claude-instant-v1' THEN 0.8
    WHEN 'amazon.titan-text-express-v1' THEN 0.3
  END;
  source := CASE WHEN price IS NULL THEN 'fallback' ELSE 'default' END;
  price := coalesce(price, 1);
END
$$;
