-- Takes the lock that serialises a user's money and answers the balance with every lot counted that is due to expire
-- by now, so that nothing depends on the sweeper. All NULL when the user has no account.
CREATE OR REPLACE FUNCTION lock_balance(p_user varchar, OUT balance credit_balances, OUT locked_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
  SELECT * INTO balance FROM credit_balances WHERE user_id = p_user FOR UPDATE;
  -- clock_timestamp(): now() is when the transaction began, which may be long before the lock was granted.
  locked_at := clock_timestamp();
  IF balance.next_expiry <= locked_at THEN
    balance := expire_due_lots(p_user, locked_at);
  END IF;
END
$$;
