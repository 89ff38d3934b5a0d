-- Where a record's provider cost comes from: reported by the caller, computed from the price's costs, or unknown (NULL).
CREATE OR REPLACE FUNCTION cost_source(p_reported numeric, p_cost numeric) RETURNS varchar
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_reported IS NOT NULL THEN 'reported' WHEN p_cost IS NOT NULL THEN 'computed' END
$$;
