-- The periods that a call counts in, all of them begun, and how much still fits every hard budget: NULL where none limits.
-- p_priced_as is the model of the rule that prices the call. The caller holds the account's lock. An API key of another
-- account is refused.
CREATE OR REPLACE FUNCTION find_budgets(
  p_lock account_lock, p_user varchar, p_path bigint[], p_key bigint, p_model varchar, p_priced_as varchar, p_tags jsonb
) RETURNS call_budgets
LANGUAGE plpgsql AS $$
DECLARE
  v_line bigint;
  v_models varchar[] := ARRAY[p_model];
  v_is_open boolean;
  v call_budgets;
BEGIN
  IF p_key IS NOT NULL THEN
    SELECT coalesce(budget_key_id, id) INTO v_line FROM api_keys WHERE account_id = p_lock.account_id AND id = p_key;
    IF NOT FOUND THEN PERFORM refuse('{apiKeyId}', '{f}'); END IF;
  END IF;
  -- Usually a model has one name.
  IF p_priced_as IS DISTINCT FROM p_model OR strpos(p_model, '/') > 0 THEN v_models := model_names(p_model, p_priced_as); END IF;
  LOOP
    SELECT array_agg(period_id), bool_and(period_id IS NOT NULL),
           min(room) FILTER (WHERE unit = 'credits' AND mode = 'hard'),
           min(room) FILTER (WHERE unit = 'tokens' AND mode = 'hard'),
           min(room) FILTER (WHERE unit = 'requests' AND mode = 'hard'),
           -- Not NULL also where one only counts: its places are kept, because it may become hard.
           min(CASE mode WHEN 'hard' THEN room ELSE 9223372036854775807 END) FILTER (WHERE unit = 'sessions'),
           array_agg(period_id) FILTER (WHERE has_ended)
      INTO v.periods, v_is_open, v.credits, v.tokens, v.requests, v.sessions, v.ended_raises
      FROM matching_budgets(p_lock.account_id, p_user, p_path, v_line, v_models, p_tags, p_lock.locked_at);
    EXIT WHEN v_is_open IS NOT FALSE;
    PERFORM open_period(b, m.member, p_lock.locked_at)
       FROM matching_budgets(p_lock.account_id, p_user, p_path, v_line, v_models, p_tags, p_lock.locked_at) m
       JOIN budgets b ON b.account_id = p_lock.account_id AND b.id = m.budget_id
      WHERE m.period_id IS NULL;
  END LOOP;
  IF v.ended_raises IS NOT NULL THEN PERFORM budget_alerts(p_lock.account_id, v.ended_raises); END IF;
  RETURN v;
END
$$;
