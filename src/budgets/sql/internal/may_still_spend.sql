-- What is left for a user, as an answer says it: the balance; in an organisation no more than fits the budgets of the call,
-- since members do not see what others have.
CREATE OR REPLACE FUNCTION may_still_spend(p_lock account_lock, p_user varchar, p_budgets call_budgets) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_lock.account_id = p_user THEN p_lock.available ELSE least(p_lock.available, p_budgets.credits) END
$$;
