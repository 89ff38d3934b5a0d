-- Takes the lock that serialises a user's money and answers the balance with every lot counted that is due to expire
-- by now, so that nothing depends on the sweeper. All NULL when the user has no account.
CREATE OR REPLACE FUNCTION lock_balance(p_user varchar) RETURNS credit_balances
LANGUAGE plpgsql AS $$
DECLARE
  v_balance credit_balances;
BEGIN
  SELECT * INTO v_balance FROM credit_balances WHERE user_id = p_user FOR UPDATE;
  -- clock_timestamp(): now() is when the transaction began, which may be long before the lock was granted.
  IF v_balance.next_expiry <= clock_timestamp() THEN
    v_balance := expire_due_lots(p_user, clock_timestamp());
  END IF;
  RETURN v_balance;
END
$$;
