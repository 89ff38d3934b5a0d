-- What the active sessions of an account hold; NULL for a user never seen.
CREATE OR REPLACE FUNCTION held_credits(p_account varchar) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN (SELECT held FROM credit_balances WHERE account_id = p_account);
END
$$;
