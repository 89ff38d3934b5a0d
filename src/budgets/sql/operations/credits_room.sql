-- How many credits the hard budgets of an account leave a user, or an API key of the user's, whatever the model and tags:
-- NULL without a limit.
CREATE OR REPLACE FUNCTION credits_room(p_account varchar, p_user varchar, p_key bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_lock account_lock;
  v_room bigint;
BEGIN
  v_lock.account_id := p_account;
  v_lock.locked_at := now();
  v_room := (find_budgets(v_lock, p_user, member_path(p_account, p_user), p_key, NULL, NULL, NULL, FALSE)).credits;
  RETURN CASE WHEN v_room < 9223372036854775807 THEN greatest(v_room, 0) END;
END
$$;
