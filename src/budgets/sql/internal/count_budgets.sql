-- Adds what a call has used, which may be negative, to its periods. What it reserved is counted by hold_budgets and count_ends.
CREATE OR REPLACE FUNCTION count_budgets(p_account varchar, p_periods bigint[], p_credits bigint, p_tokens bigint, p_requests integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_due bigint[];
BEGIN
  WITH counted AS (
    UPDATE budget_periods
       SET used = used + CASE WHEN unit = 'credits' THEN p_credits WHEN unit = 'tokens' THEN p_tokens
                              WHEN unit = 'requests' THEN p_requests ELSE 0 END
     WHERE account_id = p_account AND id = ANY (p_periods)
    RETURNING id, used >= next_alert OR is_exhausted OR raised_until <= v_now AS is_due
  )
  SELECT array_agg(id) INTO v_due FROM counted WHERE is_due;
  IF v_due IS NOT NULL THEN PERFORM budget_alerts(p_account, v_due); END IF;
END
$$;
