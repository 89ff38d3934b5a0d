-- Emits the events of periods where as much is used as an alert or the limit says, or where less is used again than the
-- limit: each once for each crossing. After a change of the limit, which was p_lowered_by larger, the alerts are due that the
-- smaller limit has passed.
CREATE OR REPLACE FUNCTION budget_alerts(p_account varchar, p_periods bigint[], p_lowered_by bigint DEFAULT 0) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v record;
  v_percent smallint;
BEGIN
  FOR v IN
    SELECT p.id, p.used, p.next_alert, p.is_exhausted, b.alerts,
           b.amount + CASE WHEN p.has_raises THEN budget_raised(p_account, p.id, clock_timestamp()) ELSE 0 END AS most
      FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
     WHERE p.account_id = p_account AND p.id = ANY (p_periods) AND b.deleted_at IS NULL AND (b.amount IS NOT NULL OR p.is_exhausted)
       AND b.time_window NOT IN ('minute', 'hour') AND b.unit <> 'sessions'
     ORDER BY p.id
  LOOP
    FOR v_percent IN
      SELECT percent FROM unnest(v.alerts) percent
       WHERE ceil(v.most * percent / 100.0) <= v.used
         AND CASE WHEN p_lowered_by > 0 THEN ceil((v.most + p_lowered_by) * percent / 100.0) > v.used
                  ELSE ceil(v.most * percent / 100.0) >= v.next_alert END
       ORDER BY percent
    LOOP
      PERFORM emit_budget_event(p_account, v.id, 'budget.threshold', v_percent);
    END LOOP;
    IF v.used >= v.most AND NOT v.is_exhausted THEN
      PERFORM emit_budget_event(p_account, v.id, 'budget.exhausted', NULL);
    ELSIF (v.used >= v.most) IS NOT TRUE AND v.is_exhausted THEN
      PERFORM emit_budget_event(p_account, v.id, 'budget.recovered', NULL);
    END IF;
    UPDATE budget_periods
       SET is_exhausted = coalesce(v.used >= v.most, FALSE), next_alert = budget_next_alert(v.most, v.alerts, v.used)
     WHERE account_id = p_account AND id = v.id;
  END LOOP;
END
$$;
