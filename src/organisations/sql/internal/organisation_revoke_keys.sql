-- Revokes the API keys of an organisation that one user has made, or all (NULL). As any revocation (api_key_revoke),
-- and after the row that keeps keys from being made: api_key_may_have waits for that.
CREATE OR REPLACE FUNCTION organisation_revoke_keys(p_account varchar, p_user varchar) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  UPDATE api_keys
     SET is_active = FALSE, revoked_at = coalesce(revoked_at, v_now),
         gateway_state = CASE WHEN gateway_state = 'pending' THEN 'failed'
                              WHEN gateway_state IN ('opening', 'live') THEN 'ending' ELSE gateway_state END,
         gateway_due_at = CASE WHEN gateway_state <> 'ended' THEN v_now END, gateway_attempts = 0
   WHERE account_id = p_account AND (p_user IS NULL OR user_id = p_user) AND is_active;
END
$$;
