-- Takes the lock that serialises an account's credits, and returns its balance with every due lot already expired, so that
-- nothing depends on the sweeper. All NULL for an unknown account.
CREATE OR REPLACE FUNCTION lock_account(p_account varchar) RETURNS account_lock
LANGUAGE plpgsql AS $$
DECLARE
  v_lock account_lock;
BEGIN
  SELECT account_id, available, held, next_expiry, low_threshold, last_event, has_budgets, last_entry INTO v_lock
    FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE;
  -- clock_timestamp(): now() is when the transaction began, which may be long before the lock was granted.
  v_lock.locked_at := clock_timestamp();
  IF v_lock.next_expiry <= v_lock.locked_at THEN RETURN expire_due_lots(v_lock); END IF;
  RETURN v_lock;
END
$$;
