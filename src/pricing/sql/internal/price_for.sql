-- The price of a model at one instant: the rule in force, else the default.
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
  RETURN CASE WHEN FOUND THEN v_price ELSE default_price(p_model) END;
END
$$;
