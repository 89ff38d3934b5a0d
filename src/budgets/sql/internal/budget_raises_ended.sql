-- Notes which raises of a budget have ended, before its limit changes: their end may have passed alerts.
CREATE OR REPLACE FUNCTION budget_raises_ended(p_account varchar, p_budget bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM budget_alerts(p_account, array_agg(id)) FROM budget_periods
    WHERE account_id = p_account AND budget_id = p_budget AND raised_until <= clock_timestamp();
END
$$;
