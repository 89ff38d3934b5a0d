-- Whether a balance, held credits included, is at its threshold or below, or empty. Written so that the planner puts it
-- in place of its calls: movements ask it before they call tell_balance, which would cost each of them more.
CREATE OR REPLACE FUNCTION is_low(p_balance credit_balances) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT p_balance.available + p_balance.held
         <= coalesce(p_balance.low_threshold, nullif(current_setting('accounting.low_threshold', TRUE), '')::bigint, 0)
$$;
