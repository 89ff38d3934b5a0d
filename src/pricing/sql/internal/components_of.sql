-- The components of a rule, which never change.
CREATE OR REPLACE FUNCTION components_of(p_rule bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT components FROM pricing_rules WHERE id = p_rule
$$;
