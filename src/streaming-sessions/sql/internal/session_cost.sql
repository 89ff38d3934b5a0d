-- What p_generated tokens of a session that was not finalized cost at its pinned price. A session that was estimated by
-- classes pays for its estimated input as soon as anything was generated; before that nothing is owed.
CREATE OR REPLACE FUNCTION session_cost(s streaming_sessions, p_generated bigint, p_price price) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN s.estimated_tokens IS NOT NULL OR p_generated = 0 THEN ceil(0.001 * p_generated * p_price.price)::bigint
    ELSE credits_for_tokens(NULL, s.estimated_input_tokens, p_generated, NULL, p_price)
  END
$$;
