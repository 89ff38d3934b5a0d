-- Empties the account's lots that have expired, one ledger entry and one event each, and returns the lock with the new
-- balance. Under the account's lock no lot changes between these statements, so each finds the same ones. Lot by lot they
-- would take twice as long.
CREATE OR REPLACE FUNCTION expire_due_lots(p_lock account_lock) RETURNS account_lock
LANGUAGE plpgsql AS $$
DECLARE
  v_account varchar := p_lock.account_id;
  v_now timestamptz := p_lock.locked_at;
  v_expired bigint;
BEGIN
  SELECT coalesce(sum(remaining_credits), 0) INTO v_expired
    FROM credit_allocations WHERE account_id = v_account AND is_open AND expires_at <= v_now;
  -- Their ids as by next_entry.
  INSERT INTO credit_ledger (account_id, id, kind, credits, balance_after, allocation_id, actor, created_at)
  OVERRIDING SYSTEM VALUE
  SELECT v_account, greatest(nextval('credit_ledger_id_seq'), p_lock.last_entry + row_number() OVER (ORDER BY expires_at, id)), 'expiry', -remaining_credits,
         p_lock.available - sum(remaining_credits) OVER (ORDER BY expires_at, id), id, 'service:accounting', v_now
    FROM credit_allocations WHERE account_id = v_account AND is_open AND expires_at <= v_now ORDER BY expires_at, id;
  PERFORM emit_lot_expired(v_account, id, remaining_credits, total_credits, expires_at) FROM (
    SELECT * FROM credit_allocations WHERE account_id = v_account AND is_open AND expires_at <= v_now
     ORDER BY expires_at, id) due;
  UPDATE credit_allocations SET remaining_credits = 0, is_open = FALSE
   WHERE account_id = v_account AND is_open AND expires_at <= v_now;
  PERFORM apply_balance(p_lock, p_lock.available - v_expired, p_lock.held,
                        (SELECT min(expires_at) FROM credit_allocations WHERE account_id = v_account AND is_open),
                        (SELECT max(id) FROM credit_ledger WHERE account_id = v_account));
  SELECT account_id, available, held, next_expiry, low_threshold, last_event, has_budgets, last_entry, v_now INTO p_lock
    FROM credit_balances WHERE account_id = v_account;
  RETURN p_lock;
END
$$;
