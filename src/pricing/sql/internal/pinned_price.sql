-- The price that a session started with: that of its rule, which never changes, or without one the default, also where a
-- rule has come into force since, or was written at that very moment.
CREATE OR REPLACE FUNCTION pinned_price(p_rule bigint, p_model varchar) RETURNS price
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_price price;
BEGIN
  IF p_rule IS NULL THEN RETURN default_price(p_model); END IF;
  SELECT r.id, 'rule', r.price_per_1k_tokens, r.input_price_per_1k_tokens, r.output_price_per_1k_tokens,
         r.cached_input_price_per_1k_tokens, r.provider_cost_per_1k_tokens, r.provider_input_cost_per_1k_tokens,
         r.provider_output_cost_per_1k_tokens, r.provider_cached_cost_per_1k_tokens
    INTO STRICT v_price
    FROM pricing_rules r WHERE r.id = p_rule;
  RETURN v_price;
END
$$;
