-- The same class by class, for people: each with its quantity, price and amount before the rounding.
CREATE OR REPLACE FUNCTION call_amounts(p_rule bigint, p_quantities jsonb, p_tier varchar) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object(
           'class', class, 'quantity', quantity, 'pricedAs', priced_as, 'price', trim_scale(price)::text,
           'credits', trim_scale(quantity * price)::text, 'providerCostUsd', trim_scale(quantity * cost)::text)
           ORDER BY quantity * price DESC NULLS LAST, class), '[]')
    FROM priced_classes(p_rule, p_quantities, p_tier)
$$;
