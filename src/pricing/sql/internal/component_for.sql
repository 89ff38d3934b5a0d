-- The component of a rule that prices a class: the class's own before those it falls back to, that of the service tier
-- before the standard one, and the highest threshold that the prompt exceeds. No row: the rule has no price for it.
CREATE OR REPLACE FUNCTION component_for(p_rule bigint, p_class text, p_tier varchar, p_prompt numeric)
RETURNS SETOF price_components
LANGUAGE sql STABLE AS $$
  SELECT c.* FROM price_components c
   WHERE c.rule_id = p_rule AND c.class = ANY (price_classes(p_class)) AND c.service_tier IN (p_tier, 'standard')
     AND (c.context_above = 0 OR c.context_above < p_prompt)
   ORDER BY array_position(price_classes(p_class), c.class), c.service_tier = 'standard', c.context_above DESC
   LIMIT 1
$$;
