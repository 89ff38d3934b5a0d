-- What the provider charges for a session that has ended, by the costs pinned at its start; NULL when unknown.
CREATE OR REPLACE FUNCTION session_provider_cost(s streaming_sessions) RETURNS numeric
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN s.end_reason = 'finalized' THEN
      cost_for_tokens(s.final_tokens, s.final_input_tokens, s.final_output_tokens, s.final_cached_tokens,
                      s.cost_per_1k, s.input_cost_per_1k, s.output_cost_per_1k, s.cached_cost_per_1k)
    -- Broken off: what was generated, and the estimated input once anything was.
    WHEN s.estimated_tokens IS NOT NULL OR s.final_tokens = 0 THEN
      cost_for_tokens(s.final_tokens, NULL, NULL, NULL, s.cost_per_1k, NULL, NULL, NULL)
    ELSE
      cost_for_tokens(NULL, s.estimated_input_tokens, s.final_tokens, NULL,
                      s.cost_per_1k, s.input_cost_per_1k, s.output_cost_per_1k, NULL)
  END
$$;
