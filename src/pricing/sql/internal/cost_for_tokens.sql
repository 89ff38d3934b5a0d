-- What the provider charges for a call in USD: exact, not rounded. Costs are USD per 1,000 tokens; a class without a
-- cost of its own costs the blended one, cached input what input costs. NULL, which is unknown and never 0, when no cost
-- is known, or none of a class that has tokens.
CREATE OR REPLACE FUNCTION cost_for_tokens(
  p_tokens bigint, p_input bigint, p_output bigint, p_cached bigint, p_price price
) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN coalesce(p_price.cost, p_price.input_cost, p_price.output_cost, p_price.cached_cost) IS NOT NULL THEN
    0.001 * (
        CASE WHEN p_tokens > 0 THEN p_tokens * p_price.cost ELSE 0 END
      + CASE WHEN p_input > 0 THEN p_input * coalesce(p_price.input_cost, p_price.cost) ELSE 0 END
      + CASE WHEN p_output > 0 THEN p_output * coalesce(p_price.output_cost, p_price.cost) ELSE 0 END
      + CASE WHEN p_cached > 0 THEN p_cached * coalesce(p_price.cached_cost, p_price.input_cost, p_price.cost) ELSE 0 END)
  END
$$;
