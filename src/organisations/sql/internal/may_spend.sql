-- Whether a user may spend from an account: it is their own, or they are a member of the organisation, which is not archived.
CREATE OR REPLACE FUNCTION may_spend(p_account varchar, p_user varchar) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_account = p_user OR member_path(p_account, p_user) IS NOT NULL;
END
$$;
