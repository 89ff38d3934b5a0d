-- How near a rule of p_rule_model is to a model, by the order in which rule_by_name looks: a smaller one prices the model
-- before a larger one. NULL: such a rule does not price the model.
CREATE OR REPLACE FUNCTION rule_rank(p_model varchar, p_rule_model varchar) RETURNS integer[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT min(ARRAY[n.turn, CASE WHEN n.name = p_rule_model THEN 0 ELSE 1 END, -length(p_rule_model)])
      FROM (SELECT 1 AS turn, p_model AS name
            UNION ALL SELECT 2, model_id FROM pricing_aliases WHERE alias = p_model
            UNION ALL SELECT 3, substr(p_model, strpos(p_model, '/') + 1) FROM pricing_providers
                       WHERE name = split_part(p_model, '/', 1) AND strpos(p_model, '/') > 0
            UNION ALL SELECT 4, '*') n
     WHERE n.name = p_rule_model
        OR p_rule_model LIKE '%*' AND p_rule_model <> '*' AND n.name ^@ left(p_rule_model, -1));
END
$$;
