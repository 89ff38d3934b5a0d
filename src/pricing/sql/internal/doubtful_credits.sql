-- How much of a call's price is for tokens that its provider's total has and no class explains: they are in the quantities
-- as tokens, and nothing else is.
CREATE OR REPLACE FUNCTION doubtful_credits(p_components jsonb, p_quantities jsonb, p_tier varchar, p_price call_price) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT p_price.credits - (price_call(p_components, p_quantities || '{"tokens": 0}', p_tier)).credits
$$;
