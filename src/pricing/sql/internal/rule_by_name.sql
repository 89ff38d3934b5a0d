-- The rule of a model that has none of its own, in this order: that of its longest prefix; of the model it is an alias of;
-- of its id without the name of the provider in front; the fallback, which is always there. Each of these names may have a
-- rule of its own or of a prefix.
CREATE OR REPLACE FUNCTION rule_by_name(p_model varchar, p_at timestamptz) RETURNS model_rule
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT (r.id, r.source, r.model_id, r.components)::model_rule
      FROM (SELECT 1 AS turn, p_model AS name
            UNION ALL SELECT 2, model_id FROM pricing_aliases WHERE alias = p_model
            UNION ALL SELECT 3, substr(p_model, strpos(p_model, '/') + 1) FROM pricing_providers
                       WHERE name = split_part(p_model, '/', 1) AND strpos(p_model, '/') > 0
            UNION ALL SELECT 4, '*') n
     CROSS JOIN LATERAL (
       SELECT * FROM pricing_rules WHERE model_id = n.name
       UNION ALL
       SELECT * FROM pricing_rules WHERE model_id LIKE '%*' AND model_id <> '*' AND n.name ^@ left(model_id, -1)) r
     WHERE r.effective_from <= p_at AND (r.effective_to IS NULL OR r.effective_to > p_at)
     ORDER BY n.turn, r.model_id = n.name DESC, length(r.model_id) DESC, r.source = 'rule' DESC, r.effective_from DESC
     LIMIT 1);
END
$$;
