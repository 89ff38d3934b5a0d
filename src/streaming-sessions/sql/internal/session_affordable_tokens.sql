-- The most generated tokens that p_credits pay for in a session, in the unit its estimate was given in: all tokens, or
-- output tokens beside the estimated input.
CREATE OR REPLACE FUNCTION session_affordable_tokens(p_session streaming_sessions, p_credits bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN p_session.estimated_tokens IS NOT NULL THEN tokens_for_credits(p_credits, 0, p_session.price_per_1k)
    ELSE tokens_for_credits(
      p_credits,
      p_session.estimated_input_tokens * coalesce(p_session.input_price_per_1k, p_session.price_per_1k),
      coalesce(p_session.output_price_per_1k, p_session.price_per_1k))
  END
$$;
