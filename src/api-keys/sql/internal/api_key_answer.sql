-- An API key as the service returns it, with what is counted for its line. Never the key.
CREATE OR REPLACE FUNCTION api_key_answer(p_account varchar, p_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_build_object(
      'outcome', 'ok', 'id', k.id, 'accountId', k.account_id, 'userId', k.user_id, 'name', k.name,
      'keyHint', k.key_hint, 'permissions', k.permissions,
      'createdAt', k.created_at, 'expiresAt', k.expires_at, 'lastUsed', k.last_used, 'isActive', k.is_active,
      'secondsLeft', extract(epoch FROM k.expires_at - clock_timestamp()),
      'gateway', k.gateway, 'gatewayState', k.gateway_state, 'gatewaySettings', k.gateway_settings,
      'creditLimit', b.credit_limit, 'creditsUsed', b.credits_used, 'creditsHeld', b.credits_held)
      FROM api_keys k CROSS JOIN LATERAL api_key_budget(k.account_id, coalesce(k.budget_key_id, k.id)) b
     WHERE k.account_id = p_account AND k.id = p_id);
END
$$;
