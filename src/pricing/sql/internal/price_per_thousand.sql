-- The standard price of 1,000 tokens of a class as text; NULL: the rule has none of its own for the class.
CREATE OR REPLACE FUNCTION price_per_thousand(p_rule bigint, p_class varchar) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT trim_scale(price * 1000)::text FROM price_components
   WHERE rule_id = p_rule AND class = p_class AND service_tier = 'standard' AND context_above = 0
$$;
