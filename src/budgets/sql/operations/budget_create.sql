-- Makes a budget of an account. It counts from now, also within a period that has begun. Every call looks up those that apply
-- to it, so they have a bound: 1,000 in all, 8 for the same scope, 20 for patterns of models, and tags of 3 names. The
-- platform's and the account's own are counted apart, so that neither is kept from making its own by the other.
-- Outcomes: ok (the budget), account_not_found, scope_not_found (no such unit, member or key), unknown_time_zone, too_many,
-- too_many_of_scope, too_many_patterns, too_many_tag_names, idempotency_mismatch.
CREATE OR REPLACE FUNCTION budget_create(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_scope varchar := p ->> 'scope';
  p_scope_id varchar := p ->> 'scopeId';
  p_unit varchar := p ->> 'unit';
  p_window varchar := p ->> 'window';
  p_time_zone varchar := p ->> 'timeZone';
  p_anchor_day integer := p ->> 'anchorDay';
  p_amount bigint := p ->> 'amount';
  p_mode varchar := p ->> 'mode';
  p_alerts smallint[] := ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(p -> 'alerts') WHEN 'array' THEN p -> 'alerts' END)::smallint);
  p_set_by varchar := p ->> 'setBy';
  p_actor varchar := p ->> 'actor';
  v_now timestamptz := budget_lock(p_account);
  v_answer jsonb;
  v_is_there boolean := TRUE;
  b budgets;
BEGIN
  PERFORM refuse('{accountId,scope,scopeId,unit,window,timeZone,anchorDay,amount,mode,alerts,setBy,actor,"Idempotency-Key"}', ARRAY[
    is_account_id(p_account),
    p_scope IN ('account', 'unit', 'member', 'each_member', 'key', 'model', 'tag'),
    CASE p_scope WHEN 'account' THEN p_scope_id IS NULL
                 WHEN 'each_member' THEN p_scope_id IS NULL
                 WHEN 'unit' THEN p_scope_id ~ '^[1-9][0-9]{0,15}$'
                 WHEN 'key' THEN p_scope_id ~ '^[1-9][0-9]{0,15}$'
                 WHEN 'member' THEN is_user_id(p_scope_id)
                 WHEN 'model' THEN is_id(p_scope_id, 100)
                 WHEN 'tag' THEN p_scope_id ~ '^[A-Za-z0-9_.-]{1,50}=' AND is_id(split_part(p_scope_id, '=', 1), 50)
                                 AND is_id(substr(p_scope_id, strpos(p_scope_id, '=') + 1), 100) END,
    p_unit IN ('credits', 'tokens', 'requests', 'sessions'),
    p_window IN ('minute', 'hour', 'day', 'week', 'month', 'lifetime') AND (p_unit <> 'sessions' OR p_window = 'lifetime'),
    char_length(p_time_zone) BETWEEN 1 AND 64,
    p_anchor_day BETWEEN 1 AND 31,
    p_amount BETWEEN 0 AND 1000000000000,
    p_mode IN ('hard', 'soft'),
    jsonb_typeof(p -> 'alerts') = 'array' AND cardinality(p_alerts) <= 10 AND NOT 0 >= ANY (p_alerts) AND NOT 100 < ANY (p_alerts),
    p_set_by IN ('platform', 'account'),
    char_length(p_actor) BETWEEN 1 AND 64,
    is_idempotency(p)]);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF v_now IS NULL THEN RETURN '{"outcome": "account_not_found"}'; END IF;
  IF p_scope = 'unit' THEN
    v_is_there := EXISTS (SELECT FROM units WHERE account_id = p_account AND id = p_scope_id::bigint);
  ELSIF p_scope = 'member' THEN
    v_is_there := p_scope_id = p_account
                  OR EXISTS (SELECT FROM members WHERE account_id = p_account AND user_id = p_scope_id);
  ELSIF p_scope = 'key' THEN
    -- All keys of a line count together.
    SELECT coalesce(budget_key_id, id) INTO p_scope_id FROM api_keys WHERE account_id = p_account AND id = p_scope_id::bigint;
    v_is_there := FOUND;
  END IF;
  IF NOT v_is_there THEN RETURN '{"outcome": "scope_not_found"}'; END IF;
  BEGIN
    PERFORM v_now AT TIME ZONE p_time_zone;
  EXCEPTION WHEN invalid_parameter_value THEN
    RETURN '{"outcome": "unknown_time_zone"}';
  END;
  SELECT CASE WHEN count(*) >= 1000 THEN '{"outcome": "too_many"}'
              WHEN count(*) FILTER (WHERE scope = p_scope AND scope_id IS NOT DISTINCT FROM p_scope_id) >= 8
                THEN '{"outcome": "too_many_of_scope"}'
              WHEN p_scope = 'model' AND p_scope_id LIKE '%*' AND count(*) FILTER (WHERE applies_to = 'model:*') >= 20
                THEN '{"outcome": "too_many_patterns"}'
              WHEN p_scope = 'tag' AND count(DISTINCT split_part(scope_id, '=', 1)) FILTER (
                     WHERE scope = 'tag' AND split_part(scope_id, '=', 1) <> split_part(p_scope_id, '=', 1)) >= 3
                THEN '{"outcome": "too_many_tag_names"}' END
    INTO v_answer
    FROM budgets WHERE account_id = p_account AND deleted_at IS NULL AND NOT is_key_limit AND set_by = p_set_by;
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  INSERT INTO budgets
    (account_id, scope, scope_id, unit, time_window, time_zone, anchor_day, amount, mode, alerts, set_by, created_by, created_at)
  VALUES (p_account, p_scope, p_scope_id, p_unit, p_window, p_time_zone, p_anchor_day, p_amount, p_mode, p_alerts, p_set_by,
          p_actor, v_now)
  RETURNING * INTO b;
  UPDATE credit_balances SET has_budgets = TRUE WHERE account_id = p_account AND NOT has_budgets;
  PERFORM write_activity(p, p_account, 'budget.created', b.id::text, NULL, budget_json(b, NULL));
  RETURN keep_answer(p, jsonb_build_object('outcome', 'ok', 'budget', budget_json(b, NULL)));
END
$$;
