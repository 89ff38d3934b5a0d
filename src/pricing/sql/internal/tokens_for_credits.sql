-- The most tokens that p_credits pay for at one price, when p_fixed, the part of the cost already incurred, comes first. 0
-- when that part alone costs more. A free price is returned as the largest count a request may name (10^9).
CREATE OR REPLACE FUNCTION tokens_for_credits(p_credits bigint, p_fixed numeric, p_price numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN p_credits < p_fixed THEN 0
    WHEN p_price > 0
    -- div() is integer division: exact, and down.
    THEN least(div(p_credits - p_fixed, p_price), 1000000000)
    ELSE 1000000000
  END::bigint
$$;
