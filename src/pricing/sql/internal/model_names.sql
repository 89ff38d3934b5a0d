-- The names of a model that budgets know it by: as it was called and what that is an alias of, and each of these without the
-- provider in front and without all that is before its last slash. An alias counts only where the model has no price of its
-- own: p_priced_as is the model of the rule that prices it.
CREATE OR REPLACE FUNCTION model_names(p_model varchar, p_priced_as varchar) RETURNS varchar[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT array_agg(DISTINCT tail) FROM (
      SELECT p_model AS name
      UNION ALL SELECT model_id FROM pricing_aliases WHERE alias = p_model AND p_priced_as IS DISTINCT FROM p_model) names
     CROSS JOIN LATERAL unnest(ARRAY[name, regexp_replace(name, '^[^/]*/', ''), regexp_replace(name, '^.*/', '')]) tail);
END
$$;
