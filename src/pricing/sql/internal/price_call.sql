-- What a call costs by a rule: the exact sum over its classes, rounded once, up. A class without any price is free. The
-- provider's cost is exact, and NULL, which is unknown and never 0, where a class that the call uses has none.
-- fallback_classes are those that another class's price was taken for, or none: but the blended price of tokens is every
-- token's own.
CREATE OR REPLACE FUNCTION price_call(p_rule bigint, p_quantities jsonb, p_tier varchar) RETURNS call_price
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_call call_price;
  v_is_valid boolean;
BEGIN
  SELECT ceil(coalesce(sum(c.quantity * c.price), 0)),
         CASE WHEN NOT bool_or(c.quantity > 0 AND c.cost IS NULL) THEN sum(c.quantity * c.cost) END,
         sum(c.quantity) FILTER (WHERE 'tokens' = ANY (price_classes(c.class))),
         array_agg(c.class) FILTER (WHERE c.quantity > 0 AND c.priced_as IS DISTINCT FROM c.class
                                      AND c.priced_as IS DISTINCT FROM 'tokens'),
         bool_and(c.is_valid)
    INTO v_call.credits, v_call.provider_cost_usd, v_call.tokens, v_call.fallback_classes, v_is_valid
    FROM priced_classes(p_rule, p_quantities, p_tier) c;
  IF v_is_valid IS NOT TRUE THEN PERFORM refuse('{quantities}', '{f}'); END IF;
  RETURN v_call;
END
$$;
