-- The rule that prices a model at one instant: the model's own, one that a person made before the built-in one; else as
-- rule_by_name finds it.
CREATE OR REPLACE FUNCTION rule_for(p_model varchar, p_at timestamptz) RETURNS model_rule
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_rule model_rule;
BEGIN
  SELECT r.id, r.source, r.model_id, r.components INTO v_rule
    FROM pricing_rules r
   WHERE r.model_id = p_model AND r.effective_from <= p_at AND (r.effective_to IS NULL OR r.effective_to > p_at)
   ORDER BY r.source = 'rule' DESC, r.effective_from DESC
   LIMIT 1;
  RETURN CASE WHEN FOUND THEN v_rule ELSE rule_by_name(p_model, p_at) END;
END
$$;
