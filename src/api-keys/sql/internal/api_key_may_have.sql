-- Whether a user may have API keys of an account: of their own, or of an organisation that they are a member of. Until the
-- transaction ends, they stay a member and it is not archived: both revoke keys, so a new one is there before, or not at all.
CREATE OR REPLACE FUNCTION api_key_may_have(p_account varchar, p_user varchar) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF p_account = p_user THEN RETURN TRUE; END IF;
  PERFORM FROM members m JOIN organisations o ON o.account_id = m.account_id AND o.archived_at IS NULL
    WHERE m.account_id = p_account AND m.user_id = p_user FOR KEY SHARE OF m FOR SHARE OF o;
  RETURN FOUND;
END
$$;
