-- The only writer of a balance. Sets what the account has available and held and when its next lot expires, and emits the
-- events that follow from the change. p_lock is what lock_account returned in this transaction, p_entry the id of the last
-- ledger entry of the change.
CREATE OR REPLACE FUNCTION apply_balance(
  p_lock account_lock, p_available bigint, p_held bigint, p_next_expiry timestamptz, p_entry bigint
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE credit_balances SET available = p_available, held = p_held, next_expiry = p_next_expiry, last_entry = p_entry
   WHERE account_id = p_lock.account_id;
  IF p_available + p_held <> p_lock.available + p_lock.held THEN
    IF p_lock.last_event IS NOT NULL OR p_available + p_held <= low_threshold(p_lock.low_threshold) THEN
      PERFORM emit_balance_events(p_lock, p_available, p_held);
    END IF;
  END IF;
END
$$;
