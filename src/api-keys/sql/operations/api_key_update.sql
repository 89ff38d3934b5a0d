-- Changes of an API key what changes has: name, permissions, expiresAt, creditLimit (of its line); null clears the last
-- two. Outcomes: ok (the key), not_found, ended, past_expiry, beyond_overlap (the key was rotated, and would end later).
CREATE OR REPLACE FUNCTION api_key_update(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id bigint := p ->> 'id';
  p_changes jsonb := p -> 'changes';
  k api_keys;
  v_before jsonb;
  b budgets;
  v_now timestamptz := clock_timestamp();
  v_expires_at timestamptz := p_changes ->> 'expiresAt';
BEGIN
  PERFORM refuse('{accountId,id,changes,name,permissions,creditLimit}', ARRAY[
    is_account_id(p_account),
    p_id > 0,
    jsonb_typeof(p_changes) = 'object',
    coalesce(is_id(p_changes ->> 'name', 100), NOT p_changes ? 'name'),
    coalesce(jsonb_typeof(p_changes -> 'permissions') = 'array', NOT p_changes ? 'permissions'),
    coalesce((p_changes ->> 'creditLimit')::bigint BETWEEN 0 AND 1000000000000, TRUE)]);
  PERFORM api_key_lock(p_account);
  -- Before any key: a member is removed in this order.
  IF p_changes ? 'creditLimit' THEN PERFORM budget_lock(p_account); END IF;
  SELECT * INTO k FROM api_keys WHERE account_id = p_account AND id = p_id;
  IF NOT FOUND THEN RETURN '{"outcome": "not_found"}'; END IF;
  IF NOT api_key_is_live(p_account, p_id) THEN RETURN '{"outcome": "ended"}'; END IF;
  IF v_expires_at <= clock_timestamp() THEN RETURN '{"outcome": "past_expiry"}'; END IF;
  -- The end of a rotation's overlap is not put off: the key has a successor, which may have its expiry changed.
  IF k.is_rotated AND p_changes ? 'expiresAt' AND v_expires_at <= k.expires_at IS NOT TRUE THEN
    RETURN '{"outcome": "beyond_overlap"}';
  END IF;
  v_before := api_key_answer(p_account, p_id);
  IF p_changes ? 'permissions' THEN
    k.permissions := ARRAY(SELECT jsonb_array_elements_text(p_changes -> 'permissions'));
  END IF;
  UPDATE api_keys
     SET name = coalesce(p_changes ->> 'name', name), permissions = k.permissions,
         expires_at = CASE WHEN p_changes ? 'expiresAt' THEN v_expires_at ELSE expires_at END,
         gateway_due_at = CASE WHEN p_changes ? 'expiresAt' AND gateway_state <> 'ended' THEN v_now
                               ELSE gateway_due_at END
   WHERE account_id = p_account AND id = p_id;
  IF p_changes ? 'creditLimit' THEN
    SELECT * INTO b FROM budgets
     WHERE account_id = p_account AND applies_to = 'key:' || coalesce(k.budget_key_id, k.id) AND is_key_limit;
    UPDATE budgets SET amount = (p_changes ->> 'creditLimit')::bigint WHERE account_id = p_account AND id = b.id;
    PERFORM budget_changed(p_account, b.id, NULL, b.amount - (p_changes ->> 'creditLimit')::bigint);
    -- The gateway has the limit with each key of the line.
    UPDATE api_keys SET gateway_due_at = v_now
     WHERE account_id = p_account AND coalesce(budget_key_id, id) = coalesce(k.budget_key_id, k.id)
       AND gateway_state = 'live';
  END IF;
  PERFORM write_activity(p, p_account, 'api_key.changed', p_id::text, v_before, api_key_answer(p_account, p_id));
  RETURN api_key_answer(p_account, p_id);
END
$$;
