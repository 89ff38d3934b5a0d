-- What p_generated tokens of a session cost at its pinned prices. A session that was estimated by classes pays for its
-- estimated input as soon as anything was generated; before that nothing is owed.
CREATE OR REPLACE FUNCTION session_cost(p_session streaming_sessions, p_generated bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN p_session.estimated_tokens IS NOT NULL OR p_generated = 0 THEN
      credits_for_tokens(p_generated, NULL, NULL, NULL, p_session.price_per_1k, NULL, NULL, NULL)
    ELSE
      credits_for_tokens(NULL, p_session.estimated_input_tokens, p_generated, NULL, p_session.price_per_1k,
                         p_session.input_price_per_1k, p_session.output_price_per_1k, NULL)
  END
$$;
