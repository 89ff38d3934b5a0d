-- Writes a new API key and returns its id, unless its account has 1,000 that are active, not counting p_without. NULL: there
-- is no room. The caller holds the lock of the user's keys. A key for a gateway waits until the gateway has it. The first key
-- of a line has a lifetime budget, which counts also without a limit.
CREATE OR REPLACE FUNCTION api_key_insert(
  p_account varchar, p_user varchar, p_digest varchar, p_hint varchar, p_name varchar, p_permissions text[], p_expires_at timestamptz,
  p_limit bigint, p_budget_key bigint, p_gateway varchar, p_settings jsonb, p_without bigint
) RETURNS bigint
LANGUAGE sql AS $$
  WITH made AS (
  INSERT INTO api_keys (account_id, user_id, key, key_hint, name, permissions, expires_at, budget_key_id, gateway,
                        gateway_settings, gateway_state, gateway_due_at)
  SELECT p_account, p_user, p_digest, p_hint, p_name, p_permissions, p_expires_at, p_budget_key, p_gateway, p_settings,
         CASE WHEN p_gateway IS NOT NULL THEN 'pending' END,
         -- Far longer than the calls of a creation can take: then the sweeper gives it up.
         CASE WHEN p_gateway IS NOT NULL THEN clock_timestamp() + interval '2 minutes' END
   WHERE (SELECT count(*) FROM api_keys
           WHERE account_id = p_account AND is_active AND coalesce(expires_at > clock_timestamp(), TRUE)
             AND id IS DISTINCT FROM p_without) < 1000
  RETURNING id
  ), found AS (
    INSERT INTO api_key_digests (key, account_id, user_id, api_key_id) SELECT p_digest, p_account, p_user, id FROM made
  ), limited AS (
    INSERT INTO budgets (account_id, scope, scope_id, unit, time_window, amount, set_by, is_key_limit, created_by)
    SELECT p_account, 'key', id::varchar, 'credits', 'lifetime', p_limit, 'account', TRUE, p_user
      FROM made WHERE p_budget_key IS NULL
  )
  SELECT id FROM made
$$;
