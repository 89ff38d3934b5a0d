-- The most generated tokens that p_credits pay for in a session, in the unit of its estimate: all tokens, or output tokens
-- beside the estimated input; no more than p_room, the tokens that budgets leave for all of them, and none where p_calls is 0.
CREATE OR REPLACE FUNCTION session_affordable_tokens(
  p_estimated_tokens bigint, p_estimated_input bigint, p_components jsonb, p_credits bigint,
  p_room bigint DEFAULT NULL, p_calls bigint DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_prompt jsonb := jsonb_build_object('input', p_estimated_input);
BEGIN
  IF p_calls < 1 THEN RETURN 0; END IF;
  IF p_estimated_tokens IS NOT NULL THEN
    RETURN greatest(0, least(p_room, tokens_for_credits(
      p_credits, 0, (component_for(p_components, 'tokens', 'standard', '{}') ->> 'price')::numeric)));
  END IF;
  RETURN greatest(0, least(p_room - p_estimated_input, tokens_for_credits(
    p_credits,
    coalesce(p_estimated_input * (component_for(p_components, 'input', 'standard', v_prompt) ->> 'price')::numeric, 0),
    (component_for(p_components, 'output', 'standard', v_prompt) ->> 'price')::numeric)));
END
$$;
