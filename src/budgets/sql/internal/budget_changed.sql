-- After a change of a budget's limit, which is now p_lowered_by smaller (negative: larger; NULL: there was none, or is none):
-- its periods of now emit what follows from it, and may say limit.reached again. After a raise, only p_period.
CREATE OR REPLACE FUNCTION budget_changed(p_account varchar, p_budget bigint, p_period bigint, p_lowered_by bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_crossed bigint[];
BEGIN
  -- A budget of each member has as many periods as there are members: one statement, and a loop only over those with an event.
  WITH changed AS (
    UPDATE budget_periods p
       SET is_reached = FALSE,
           next_alert = CASE WHEN b.time_window NOT IN ('minute', 'hour') AND b.unit <> 'sessions' THEN
             budget_next_alert(b.amount + p.raised, b.alerts, p.used) END
      FROM budgets b
     WHERE b.account_id = p_account AND b.id = p_budget AND p.account_id = p_account AND p.budget_id = p_budget
       AND p.ends_at > clock_now() AND (p_period IS NULL OR p.id = p_period)
    RETURNING p.id, p.used, p.is_exhausted, b.alerts, b.amount + p.raised AS most
  )
  SELECT array_agg(id) INTO v_crossed FROM changed
   WHERE coalesce(used >= most, FALSE) <> is_exhausted
      OR p_lowered_by > 0 AND used >= most * (SELECT min(percent) FROM unnest(alerts) percent) / 100.0;
  IF v_crossed IS NOT NULL THEN PERFORM budget_alerts(p_account, v_crossed, p_lowered_by); END IF;
END
$$;
