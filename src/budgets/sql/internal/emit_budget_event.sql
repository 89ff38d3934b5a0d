-- Emits an event of a budget about one of its periods; p_is_for_all: about those of all members, of which it is one.
CREATE OR REPLACE FUNCTION emit_budget_event(
  p_account varchar, p_period bigint, p_type varchar, p_percent integer, p_is_for_all boolean DEFAULT FALSE
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_data jsonb;
BEGIN
  SELECT jsonb_build_object(
           'budgetId', b.id, 'scope', b.scope, 'scopeId', b.scope_id, 'userId', CASE WHEN NOT p_is_for_all THEN nullif(p.user_id, '') END, 'unit', b.unit,
           'window', b.time_window,
           'limit', b.amount + p.raised,
           'used', p.used, 'held', p.held, 'resetsAt', CASE WHEN isfinite(p.ends_at) THEN iso_time(p.ends_at) END)
    INTO STRICT v_data
    FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
   WHERE p.account_id = p_account AND p.id = p_period;
  IF p_percent IS NOT NULL THEN v_data := v_data || jsonb_build_object('percent', p_percent); END IF;
  PERFORM write_event(p_account, p_type, v_data);
END
$$;
