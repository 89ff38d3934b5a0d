-- What one record counts for in the roll-ups. What was collected for it is income; a record that was settled elsewhere has
-- neither collected nor uncollected credits.
CREATE OR REPLACE FUNCTION sums_of_record(
  p_credits bigint, p_uncollected bigint, p_billing varchar, p_cost numeric, p_pricing_source varchar
) RETURNS usage_sums
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (1, p_credits, coalesce(p_cost, 0), CASE WHEN p_cost IS NULL THEN 0 ELSE 1 END,
          CASE WHEN p_cost IS NULL OR p_billing = 'recorded' THEN 0 ELSE p_credits - p_uncollected END, CASE WHEN p_pricing_source = 'fallback' THEN 1 ELSE 0 END,
          CASE WHEN p_billing = 'recorded' THEN 0 ELSE p_credits - p_uncollected END,
          CASE WHEN p_billing = 'recorded' THEN 0 ELSE p_uncollected END)::usage_sums
$$;
