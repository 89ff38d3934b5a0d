-- Notes in the periods of a budget of each member which of them a change of the limit has exhausted or not, and emits the most
-- important of what follows, once: exhausted, recovered, or the highest alert that the smaller limit has passed. p_period is
-- that of a member whom it is about.
CREATE OR REPLACE FUNCTION budget_alert_of_all(p_account varchar, p_periods bigint[], p_period bigint, p_lowered_by bigint)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_type varchar;
  v_percent smallint;
BEGIN
  SELECT CASE WHEN p.used >= m.most AND NOT p.is_exhausted THEN 'budget.exhausted'
              WHEN (p.used >= m.most) IS NOT TRUE AND p.is_exhausted THEN 'budget.recovered'
              WHEN a.percent IS NOT NULL THEN 'budget.threshold' END,
         CASE WHEN (p.used >= m.most) IS NOT TRUE AND NOT p.is_exhausted THEN a.percent END
    INTO v_type, v_percent
    FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
   CROSS JOIN LATERAL (SELECT b.amount + p.raised AS most) m
   CROSS JOIN LATERAL (
     SELECT max(percent) AS percent FROM unnest(b.alerts) percent
      WHERE ceil(m.most * percent / 100.0) <= p.used AND ceil((m.most + p_lowered_by) * percent / 100.0) > p.used) a
   WHERE p.account_id = p_account AND p.id = p_period AND b.time_window NOT IN ('minute', 'hour') AND b.unit <> 'sessions';
  UPDATE budget_periods p
     SET is_exhausted = coalesce(p.used >= b.amount + p.raised, FALSE)
    FROM budgets b
   WHERE b.account_id = p_account AND b.id = p.budget_id AND p.account_id = p_account AND p.id = ANY (p_periods)
     AND b.time_window NOT IN ('minute', 'hour') AND b.unit <> 'sessions';
  IF v_type IS NOT NULL THEN PERFORM emit_budget_event(p_account, p_period, v_type, v_percent, TRUE); END IF;
END
$$;
