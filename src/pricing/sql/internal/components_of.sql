-- The components of a rule, which never change.
CREATE OR REPLACE FUNCTION components_of(p_rule bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT components FROM pricing_rules WHERE id = p_rule);
END
$$;
