-- After a change of a budget's limit: its periods of now emit what follows from it, and may say limit.reached again.
CREATE OR REPLACE FUNCTION budget_changed(p_account varchar, p_budget bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_periods bigint[];
BEGIN
  WITH changed AS (
    UPDATE budget_periods SET is_reached = FALSE
     WHERE account_id = p_account AND budget_id = p_budget AND ends_at > clock_timestamp()
    RETURNING id
  )
  SELECT array_agg(id) INTO v_periods FROM changed;
  PERFORM budget_alerts(p_account, v_periods);
END
$$;
