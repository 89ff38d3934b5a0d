-- After a change of a budget's limit, which is now p_lowered_by smaller (negative: larger; NULL: there was none, or is none):
-- its periods of now emit what follows from it, and may say limit.reached again. After a raise, only p_period. A budget of
-- each member has as many periods as there are members: a change of it emits one event for all of them.
CREATE OR REPLACE FUNCTION budget_changed(p_account varchar, p_budget bigint, p_period bigint, p_lowered_by bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_is_for_all boolean;
  v_crossed bigint[];
  v_exhausted bigint;
  v_recovered bigint;
  v_fullest bigint;
BEGIN
  WITH changed AS (
    UPDATE budget_periods p
       SET is_reached = FALSE,
           next_alert = CASE WHEN b.time_window NOT IN ('minute', 'hour') AND b.unit <> 'sessions' THEN
             budget_next_alert(b.amount + p.raised, b.alerts, p.used) END
      FROM budgets b
     WHERE b.account_id = p_account AND b.id = p_budget AND p.account_id = p_account AND p.budget_id = p_budget
       AND p.ends_at > clock_now() AND (p_period IS NULL OR p.id = p_period)
    RETURNING p.id, p.used, p.is_exhausted, b.alerts, b.amount + p.raised AS most,
              b.scope = 'each_member' AND p_period IS NULL AS is_for_all
  ), crossed AS (
    SELECT id, used, most, is_for_all, coalesce(used >= most, FALSE) AS is_over, is_exhausted FROM changed
     WHERE coalesce(used >= most, FALSE) <> is_exhausted
        OR p_lowered_by > 0 AND used >= most * (SELECT min(percent) FROM unnest(alerts) percent) / 100.0
  )
  SELECT array_agg(id), bool_or(is_for_all),
         min(id) FILTER (WHERE is_over AND NOT is_exhausted), min(id) FILTER (WHERE is_exhausted AND NOT is_over),
         (array_agg(id ORDER BY used - most DESC) FILTER (WHERE NOT is_over))[1]
    INTO v_crossed, v_is_for_all, v_exhausted, v_recovered, v_fullest FROM crossed;
  IF v_is_for_all THEN
    PERFORM budget_alert_of_all(p_account, v_crossed, coalesce(v_exhausted, v_recovered, v_fullest), p_lowered_by);
  ELSIF v_crossed IS NOT NULL THEN
    PERFORM budget_alerts(p_account, v_crossed, p_lowered_by);
  END IF;
END
$$;
