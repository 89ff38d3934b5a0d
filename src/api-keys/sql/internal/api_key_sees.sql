-- Whether a caller sees what an API key has started (NULL: none has): with a key, only what its own line has; without, all.
CREATE OR REPLACE FUNCTION api_key_sees(p_account varchar, p_caller bigint, p_started_with bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT p_caller IS NULL OR EXISTS (
      SELECT 1 FROM api_keys c JOIN api_keys s ON s.account_id = c.account_id
       WHERE c.account_id = p_account AND c.id = p_caller AND s.id = p_started_with
         AND coalesce(c.budget_key_id, c.id) = coalesce(s.budget_key_id, s.id)));
END
$$;
