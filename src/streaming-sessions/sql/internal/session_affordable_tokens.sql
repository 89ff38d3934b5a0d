-- The most generated tokens that p_credits pay for in a session, in the unit of its estimate: all tokens, or output tokens
-- beside the estimated input.
CREATE OR REPLACE FUNCTION session_affordable_tokens(
  p_estimated_tokens bigint, p_estimated_input bigint, p_rule bigint, p_credits bigint
) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN p_estimated_tokens IS NOT NULL
    THEN tokens_for_credits(p_credits, 0, (SELECT price FROM component_for(p_rule, 'tokens', 'standard', 0)))
    ELSE tokens_for_credits(
      p_credits,
      p_estimated_input * coalesce((SELECT price FROM component_for(p_rule, 'input', 'standard', p_estimated_input)), 0),
      (SELECT price FROM component_for(p_rule, 'output', 'standard', p_estimated_input)))
  END
$$;
