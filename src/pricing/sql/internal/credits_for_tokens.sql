-- Credits for a call: the exact sum over the token classes, rounded once, up. Prices are credits per 1,000 tokens.
-- A class without a price of its own costs the blended price; cached input without one costs what input costs.
-- Multiplying by 0.001 is exact, where NUMERIC division by 1000 may cut off digits and so lose the rounding up.
CREATE OR REPLACE FUNCTION credits_for_tokens(
  p_tokens bigint, p_input bigint, p_output bigint, p_cached bigint, p_price price
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ceil(0.001 * (
      coalesce(p_tokens, 0) * p_price.price
    + coalesce(p_input, 0) * coalesce(p_price.input_price, p_price.price)
    + coalesce(p_output, 0) * coalesce(p_price.output_price, p_price.price)
    + coalesce(p_cached, 0) * coalesce(p_price.cached_price, p_price.input_price, p_price.price)
  ))::bigint
$$;
