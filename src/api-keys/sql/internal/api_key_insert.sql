-- Writes a new API key and returns its id, unless its account has 1,000 that are active, not counting p_without. NULL: there
-- is no room. The caller holds the lock of the user's keys. A key for a gateway waits until the gateway has it. The first key
-- of a line has a lifetime budget, which counts also without a limit.
CREATE OR REPLACE FUNCTION api_key_insert(
  p_account varchar, p_user varchar, p_digest varchar, p_hint varchar, p_name varchar, p_permissions text[], p_expires_at timestamptz,
  p_limit bigint, p_budget_key bigint, p_gateway varchar, p_settings jsonb, p_without bigint
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_id bigint;
BEGIN
  IF (SELECT count(*) FROM api_keys
       WHERE account_id = p_account AND is_active AND coalesce(expires_at > v_now, TRUE)
         AND id IS DISTINCT FROM p_without) >= 1000 THEN
    RETURN NULL;
  END IF;
  INSERT INTO api_keys (account_id, user_id, key, key_hint, name, permissions, expires_at, budget_key_id, gateway,
                        gateway_settings, gateway_state, gateway_due_at)
  VALUES (p_account, p_user, p_digest, p_hint, p_name, p_permissions, p_expires_at, p_budget_key, p_gateway, p_settings,
          CASE WHEN p_gateway IS NOT NULL THEN 'pending' END,
          -- Far longer than the calls of a creation can take: then the sweeper gives it up.
          CASE WHEN p_gateway IS NOT NULL THEN v_now + interval '2 minutes' END)
  RETURNING id INTO v_id;
  INSERT INTO api_key_digests (key, account_id, user_id, api_key_id) VALUES (p_digest, p_account, p_user, v_id);
  IF p_budget_key IS NULL THEN
    INSERT INTO budgets (account_id, scope, scope_id, unit, time_window, amount, set_by, is_key_limit, created_by)
    VALUES (p_account, 'key', v_id, 'credits', 'lifetime', p_limit, 'account', TRUE, p_user);
  END IF;
  RETURN v_id;
END
$$;
