-- The price that a session started with, by the id of its rule. A rule that has begun never changes its prices. One that
-- was withdrawn at the very moment it began is as if it had never been: then the one in force before it applies.
CREATE OR REPLACE FUNCTION pinned_price(p_rule bigint, p_model varchar, p_started_at timestamptz) RETURNS price
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_price price;
BEGIN
  IF p_rule IS NOT NULL THEN
    SELECT r.id, 'rule', r.price_per_1k_tokens, r.input_price_per_1k_tokens, r.output_price_per_1k_tokens,
           r.cached_input_price_per_1k_tokens, r.provider_cost_per_1k_tokens, r.provider_input_cost_per_1k_tokens,
           r.provider_output_cost_per_1k_tokens, r.provider_cached_cost_per_1k_tokens
      INTO v_price
      FROM pricing_rules r WHERE r.id = p_rule;
    IF FOUND THEN RETURN v_price; END IF;
  END IF;
  RETURN price_for(p_model, p_started_at);
END
$$;
