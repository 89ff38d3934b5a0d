-- After a change of a budget's limit: its periods of now emit what follows from it, and may say limit.reached again. After a
-- raise, that of one period.
CREATE OR REPLACE FUNCTION budget_changed(p_account varchar, p_budget bigint, p_period bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_crossed bigint[];
BEGIN
  -- A budget of each member has as many periods as there are members: one statement, and a loop only over those with an event.
  WITH changed AS (
    UPDATE budget_periods p
       SET is_reached = FALSE,
           next_alert = CASE WHEN b.time_window NOT IN ('minute', 'hour') AND b.unit <> 'sessions' THEN
             budget_next_alert(b.amount + CASE WHEN p.has_raises THEN budget_raised(p_account, p.id, clock_timestamp()) ELSE 0 END, b.alerts, p.used) END
      FROM budgets b
     WHERE b.account_id = p_account AND b.id = p_budget AND p.account_id = p_account AND p.budget_id = p_budget
       AND p.ends_at > clock_timestamp() AND (p_period IS NULL OR p.id = p_period)
    RETURNING p.id, (p.used >= b.amount + CASE WHEN p.has_raises THEN budget_raised(p_account, p.id, clock_timestamp()) ELSE 0 END)
                    <> p.is_exhausted AS has_crossed
  )
  SELECT array_agg(id) FILTER (WHERE has_crossed) INTO v_crossed FROM changed;
  IF v_crossed IS NOT NULL THEN PERFORM budget_alerts(p_account, v_crossed); END IF;
END
$$;
