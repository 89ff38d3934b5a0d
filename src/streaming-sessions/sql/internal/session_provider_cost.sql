-- What the provider charges for the same tokens; NULL when unknown.
CREATE OR REPLACE FUNCTION session_provider_cost(s streaming_sessions, p_generated bigint, p_price price) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN s.estimated_tokens IS NOT NULL OR p_generated = 0 THEN 0.001 * p_generated * p_price.cost
    ELSE cost_for_tokens(NULL, s.estimated_input_tokens, p_generated, NULL, p_price)
  END
$$;
