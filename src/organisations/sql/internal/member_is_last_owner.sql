-- Whether an organisation would have no owner without this user. The caller holds the account's lock.
CREATE OR REPLACE FUNCTION member_is_last_owner(p_account varchar, p_user varchar) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT coalesce(bool_and(user_id = p_user), FALSE) FROM members WHERE account_id = p_account AND role = 'owner');
END
$$;
