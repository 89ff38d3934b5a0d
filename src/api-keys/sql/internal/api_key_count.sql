-- Counts credits for the limit of an API key's line. Nothing without a key.
CREATE OR REPLACE FUNCTION api_key_count(p_account varchar, p_key bigint, p_held bigint, p_used bigint) RETURNS void
LANGUAGE sql AS $$
  UPDATE api_keys SET credits_held = credits_held + p_held, credits_used = credits_used + p_used
   WHERE p_key IS NOT NULL AND account_id = p_account
     AND id = (SELECT coalesce(budget_key_id, id) FROM api_keys WHERE account_id = p_account AND id = p_key)
$$;
