-- The sums that take p_sums away again.
CREATE OR REPLACE FUNCTION negated(p_sums usage_sums) RETURNS usage_sums
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (-p_sums.records, -p_sums.credits, -p_sums.provider_cost_usd, -p_sums.costed_records, -p_sums.costed_credits,
          -p_sums.unpriced_records, -p_sums.charged_credits, -p_sums.uncollected_credits)::usage_sums
$$;
