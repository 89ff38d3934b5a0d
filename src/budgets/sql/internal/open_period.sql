-- The period of a budget that a moment is in, begun if it has not begun. Nothing has to run for it at midnight. Of minutes
-- and hours only the newest period stays, and those that limit the growth of open sessions. A budget that was exhausted in
-- the period before has recovered.
CREATE OR REPLACE FUNCTION open_period(b budgets, p_member varchar, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_is_short boolean := b.time_window IN ('minute', 'hour');
  v_period bigint;
  v_ends_at timestamptz;
  v_starts_at timestamptz;
  v_last bigint;
BEGIN
  SELECT id, ends_at INTO v_period, v_ends_at FROM budget_periods
   WHERE account_id = b.account_id AND budget_id = b.id AND user_id = p_member AND starts_at <= p_at
   ORDER BY starts_at DESC LIMIT 1;
  IF v_ends_at > p_at THEN RETURN v_period; END IF;
  SELECT starts_at, ends_at INTO v_starts_at, v_ends_at FROM budget_period(b.time_window, b.time_zone, b.anchor_day, p_at);
  IF v_period IS NOT NULL THEN
    UPDATE budget_periods SET is_exhausted = FALSE
     WHERE account_id = b.account_id AND id = v_period AND is_exhausted
    RETURNING id INTO v_last;
    IF v_is_short THEN
      -- A session that holds nothing, because it was estimated at nothing, may still grow.
      DELETE FROM budget_periods p
       WHERE p.budget_id = b.id AND p.user_id = p_member AND p.starts_at <= p_at AND p.account_id = b.account_id
         AND p.open_sessions = 0;
    END IF;
  END IF;
  INSERT INTO budget_periods (account_id, budget_id, user_id, unit, starts_at, ends_at, next_alert)
  VALUES (b.account_id, b.id, p_member, b.unit, v_starts_at, v_ends_at,
          CASE WHEN NOT v_is_short THEN budget_next_alert(b.amount, b.alerts, 0) END)
  RETURNING id INTO v_period;
  IF v_last IS NOT NULL THEN PERFORM emit_budget_event(b.account_id, v_period, 'budget.recovered', NULL); END IF;
  RETURN v_period;
END
$$;
