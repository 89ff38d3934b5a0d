-- Emits the events of periods where as much is used as an alert or the limit says, or where less is used again than the
-- limit: each once for each crossing, and none of a period that is over. After a change of the limit, which was p_lowered_by
-- larger, the alerts are due that the smaller limit has passed; so after the end of a raise, which is noted here.
CREATE OR REPLACE FUNCTION budget_alerts(p_account varchar, p_periods bigint[], p_lowered_by bigint DEFAULT 0) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v record;
  v_percent smallint;
BEGIN
  FOR v IN
    -- next_alert was found with the limit before.
    SELECT p.id, p.used, p.next_alert, p.is_exhausted, b.alerts, b.amount + p.raised AS before, b.amount + r.raised AS most,
           r.raised, r.raised_until, has_alerts AND p.ends_at > v_now AS emits, has_alerts
      FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
     CROSS JOIN LATERAL (SELECT b.time_window NOT IN ('minute', 'hour') AND b.unit <> 'sessions' AS has_alerts) w
     CROSS JOIN LATERAL (
       SELECT p.raised, p.raised_until WHERE p.raised_until <= v_now IS NOT TRUE
       UNION ALL
       SELECT budget_raised(p_account, p.id, v_now),
              (SELECT min(until) FROM budget_raises WHERE account_id = p_account AND period_id = p.id AND until > v_now)
        WHERE p.raised_until <= v_now) r
     WHERE p.account_id = p_account AND p.id = ANY (p_periods) AND b.deleted_at IS NULL AND (b.amount IS NOT NULL OR p.is_exhausted)
     ORDER BY p.id
  LOOP
    UPDATE budget_periods
       SET is_exhausted = CASE WHEN v.emits THEN coalesce(v.used >= v.most, FALSE) ELSE is_exhausted END,
           next_alert = CASE WHEN v.has_alerts THEN budget_next_alert(v.most, v.alerts, v.used) END,
           raised = v.raised, raised_until = v.raised_until
     WHERE account_id = p_account AND id = v.id;
    CONTINUE WHEN NOT v.emits;
    FOR v_percent IN
      SELECT percent FROM unnest(v.alerts) percent
       WHERE ceil(v.most * percent / 100.0) <= v.used
         AND CASE WHEN p_lowered_by > 0 THEN ceil((v.most + p_lowered_by) * percent / 100.0) > v.used
                  ELSE ceil(v.before * percent / 100.0) >= v.next_alert END
       ORDER BY percent
    LOOP
      PERFORM emit_budget_event(p_account, v.id, 'budget.threshold', v_percent);
    END LOOP;
    IF v.used >= v.most AND NOT v.is_exhausted THEN
      PERFORM emit_budget_event(p_account, v.id, 'budget.exhausted', NULL);
    ELSIF (v.used >= v.most) IS NOT TRUE AND v.is_exhausted THEN
      PERFORM emit_budget_event(p_account, v.id, 'budget.recovered', NULL);
    END IF;
  END LOOP;
END
$$;
