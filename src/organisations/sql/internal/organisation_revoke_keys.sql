-- Revokes the API keys of an organisation that one user has made, or all (NULL). As any revocation (REVOKED in src/api-keys),
-- and after the row that keeps keys from being made: api_key_may_have waits for that.
CREATE OR REPLACE FUNCTION organisation_revoke_keys(p_account varchar, p_user varchar) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE api_keys
     SET is_active = FALSE, revoked_at = coalesce(revoked_at, clock_now()),
         gateway_state = CASE gateway_state WHEN 'pending' THEN 'failed' WHEN 'opening' THEN 'ending'
                                            WHEN 'live' THEN 'ending' ELSE gateway_state END,
         gateway_due_at = CASE WHEN gateway_state <> 'ended' THEN clock_now() END, gateway_attempts = 0
   WHERE account_id = p_account AND (p_user IS NULL OR user_id = p_user) AND is_active;
END
$$;
