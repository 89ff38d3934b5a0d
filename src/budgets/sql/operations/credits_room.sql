-- How many credits the hard budgets of an account leave a user, or an API key of the user's, whatever the model and tags:
-- NULL without a limit.
CREATE OR REPLACE FUNCTION credits_room(p_account varchar, p_user varchar, p_key bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN (SELECT min(greatest(room - ended, 0))
      FROM matching_budgets(
             p_account, p_user, member_path(p_account, p_user),
             (SELECT coalesce(budget_key_id, id) FROM api_keys WHERE account_id = p_account AND id = p_key), NULL, NULL, now())
     WHERE unit = 'credits' AND mode = 'hard' AND room IS NOT NULL);
END
$$;
