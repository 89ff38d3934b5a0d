-- Takes the lock of an account, under which its budgets are decided and changed, and returns the time; NULL: there is no such
-- account.
CREATE OR REPLACE FUNCTION budget_lock(p_account varchar) RETURNS timestamptz
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE;
  RETURN CASE WHEN FOUND THEN clock_timestamp() END;
END
$$;
