-- Whether a user may have API keys of an account: of their own, or of an organisation that they are a member of, and then
-- they stay one until the transaction ends. So a new key is there before the member is removed, which revokes it, or not
-- at all.
CREATE OR REPLACE FUNCTION api_key_may_have(p_account varchar, p_user varchar) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF p_account = p_user THEN RETURN TRUE; END IF;
  PERFORM FROM members WHERE account_id = p_account AND user_id = p_user FOR KEY SHARE;
  RETURN FOUND;
END
$$;
