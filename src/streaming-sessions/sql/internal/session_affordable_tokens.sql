-- The most generated tokens that p_credits pay for in a session, in the unit of its estimate: all tokens, or output tokens
-- beside the estimated input.
CREATE OR REPLACE FUNCTION session_affordable_tokens(
  p_estimated_tokens bigint, p_estimated_input bigint, p_price price, p_credits bigint
) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN p_estimated_tokens IS NOT NULL THEN tokens_for_credits(p_credits, 0, p_price.price)
    ELSE tokens_for_credits(p_credits, p_estimated_input * coalesce(p_price.input_price, p_price.price),
                            coalesce(p_price.output_price, p_price.price))
  END
$$;
