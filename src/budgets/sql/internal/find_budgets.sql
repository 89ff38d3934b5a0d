-- The periods that a call counts in, all of them begun, and how much still fits every hard budget: NULL where there is none,
-- 2^63 - 1 where all are soft.
-- p_priced_as is the model of the rule that prices the call. The caller holds the account's lock. An API key of another
-- account is refused.
CREATE OR REPLACE FUNCTION find_budgets(
  p_lock account_lock, p_user varchar, p_path bigint[], p_key bigint, p_model varchar, p_priced_as varchar, p_tags jsonb
) RETURNS call_budgets
LANGUAGE plpgsql AS $$
DECLARE
  v_line bigint;
  v_models varchar[] := ARRAY[p_model];
  v_is_ready boolean;
  v call_budgets;
BEGIN
  IF p_key IS NOT NULL THEN
    SELECT coalesce(budget_key_id, id) INTO v_line FROM api_keys WHERE account_id = p_lock.account_id AND id = p_key;
    IF NOT FOUND THEN PERFORM refuse('{apiKeyId}', '{f}'); END IF;
  END IF;
  -- Usually a model has one name.
  IF p_priced_as IS DISTINCT FROM p_model OR strpos(p_model, '/') > 0 THEN v_models := model_names(p_model, p_priced_as); END IF;
  FOR v_round IN 1 .. 2 LOOP
    SELECT array_agg(period_id), array_agg(period_row), bool_and(period_id IS NOT NULL AND has_ended_raise IS NOT TRUE),
           min(room) FILTER (WHERE unit = 'credits'), min(room) FILTER (WHERE unit = 'tokens'),
           min(room) FILTER (WHERE unit = 'requests'), min(room) FILTER (WHERE unit = 'sessions')
      INTO v.periods, v.period_rows, v_is_ready, v.credits, v.tokens, v.requests, v.sessions
      FROM matching_budgets(p_lock.account_id, p_user, p_path, v_line, v_models, p_tags, p_lock.locked_at);
    EXIT WHEN v_is_ready IS NOT FALSE;
    PERFORM open_period(b, m.member, p_lock.locked_at)
       FROM matching_budgets(p_lock.account_id, p_user, p_path, v_line, v_models, p_tags, p_lock.locked_at) m
       JOIN budgets b ON b.account_id = p_lock.account_id AND b.id = m.budget_id
      WHERE m.period_id IS NULL;
    PERFORM budget_alerts(p_lock.account_id, array_agg(period_id))
       FROM matching_budgets(p_lock.account_id, p_user, p_path, v_line, v_models, p_tags, p_lock.locked_at)
      WHERE has_ended_raise;
  END LOOP;
  RETURN v;
END
$$;
