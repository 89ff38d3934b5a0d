-- The credits at or below which a balance is low: the account's own threshold, else the service's setting, else 0. Written
-- so that the planner inlines it.
CREATE OR REPLACE FUNCTION low_threshold(p_own bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce(p_own, nullif(current_setting('accounting.low_threshold', TRUE), '')::bigint, 0)
$$;
