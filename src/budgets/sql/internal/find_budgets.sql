-- The periods that a call of a user counts in, and how much still fits the hard budgets of each unit: NULL without any, 2^63 - 1
-- where all are soft, because places of sessions are kept there too. p_path are the ids of the user's unit and of those above
-- it. p_priced_as is the model of the rule that prices the call. Of budgets for models and tags only those count that the call
-- names. With p_begins all periods are begun, and the caller holds the account's lock; an API key of another account is
-- refused.
CREATE OR REPLACE FUNCTION find_budgets(
  p_lock account_lock, p_user varchar, p_path bigint[], p_key bigint, p_model varchar, p_priced_as varchar, p_tags jsonb,
  p_begins boolean DEFAULT TRUE
) RETURNS call_budgets
LANGUAGE plpgsql AS $$
DECLARE
  v_line bigint;
  v_models varchar[] := CASE WHEN p_model IS NOT NULL THEN ARRAY[p_model] END;
  v_scopes text[];
  v_names text;
  v_missing bigint[];
  v_ended bigint[];
  v_id bigint;
  v_budget budgets;
  v call_budgets;
BEGIN
  IF p_key IS NOT NULL THEN
    SELECT coalesce(budget_key_id, id) INTO v_line FROM api_keys WHERE account_id = p_lock.account_id AND id = p_key;
    IF NOT FOUND AND p_begins THEN PERFORM refuse('{apiKeyId}', '{f}'); END IF;
  END IF;
  -- Usually a model has one name.
  IF p_priced_as IS DISTINCT FROM p_model OR strpos(p_model, '/') > 0 THEN v_models := model_names(p_model, p_priced_as); END IF;
  -- Not in the query: each of its expressions is prepared anew in each call.
  v_scopes := budget_scopes(p_user, p_path, v_line, v_models, p_tags);
  v_names := E'\n' || array_to_string(v_models, E'\n');
  FOR v_round IN 1 .. 2 LOOP
    SELECT array_agg(period_id), min(room) FILTER (WHERE unit = 'credits'), min(room) FILTER (WHERE unit = 'tokens'),
           min(room) FILTER (WHERE unit = 'requests'), min(room) FILTER (WHERE unit = 'sessions'),
           array_agg(period_id) FILTER (WHERE has_ended_raise), array_agg(budget_id) FILTER (WHERE period_id IS NULL)
      INTO v.periods, v.credits, v.tokens, v.requests, v.sessions, v_ended, v_missing
      FROM (
        SELECT b.id AS budget_id, b.unit, p.id AS period_id, p.raised_until <= p_lock.locked_at AS has_ended_raise,
               CASE WHEN b.mode = 'soft' THEN 9223372036854775807
                    WHEN p.id IS NULL THEN b.amount
                    WHEN p.raised_until <= p_lock.locked_at THEN b.amount - p.used - p.held
                         + budget_raised(p_lock.account_id, p.id, p_lock.locked_at)
                    ELSE b.amount - p.used - p.held + p.raised END AS room
          FROM budgets b
          LEFT JOIN LATERAL (
            SELECT id, ends_at, raised, raised_until, used, held FROM budget_periods
             WHERE account_id = p_lock.account_id AND budget_periods.budget_id = b.id
               AND user_id = CASE WHEN b.scope = 'each_member' THEN p_user ELSE '' END AND starts_at <= p_lock.locked_at
             ORDER BY starts_at DESC LIMIT 1) p ON p.ends_at > p_lock.locked_at
         WHERE b.account_id = p_lock.account_id AND b.deleted_at IS NULL
           AND b.applies_to = ANY (v_scopes)
           AND (b.applies_to <> 'model:*' OR strpos(v_names, E'\n' || left(b.scope_id, -1)) > 0)
      ) matching;
    EXIT WHEN v_missing IS NULL AND v_ended IS NULL OR NOT p_begins;
    FOREACH v_id IN ARRAY coalesce(v_missing, '{}') LOOP
      SELECT * INTO v_budget FROM budgets WHERE account_id = p_lock.account_id AND id = v_id;
      PERFORM open_period(v_budget, CASE WHEN v_budget.scope = 'each_member' THEN p_user ELSE '' END, p_lock.locked_at);
    END LOOP;
    PERFORM budget_alerts(p_lock.account_id, v_ended);
  END LOOP;
  RETURN v;
END
$$;
