-- Whether the user of a quarantined event has an account, or is a member of the organisation that is to pay (NULL: none), which
-- is not archived.
CREATE OR REPLACE FUNCTION quarantine_is_known(p_user varchar, p_organisation varchar) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF p_organisation IS NULL THEN RETURN EXISTS (SELECT FROM user_accounts WHERE user_id = p_user); END IF;
  RETURN EXISTS (SELECT FROM members m JOIN organisations o ON o.account_id = m.account_id
                  WHERE m.account_id = p_organisation AND m.user_id = p_user AND o.archived_at IS NULL);
END
$$;
