-- Empties the user's lots that have expired, one ledger entry and one event each, and corrects the cache.
-- The caller holds the user's balance row, so no lot changes between these statements: each finds the same ones. Lot by
-- lot they would take twice as long.
CREATE OR REPLACE FUNCTION expire_due_lots(p_user varchar, p_now timestamptz) RETURNS credit_balances
LANGUAGE plpgsql AS $$
DECLARE
  v_available bigint;
  v_before bigint;
  v_expired bigint;
  v_balance credit_balances;
BEGIN
  SELECT available, available + held INTO v_available, v_before FROM credit_balances WHERE user_id = p_user;
  SELECT coalesce(sum(remaining_credits), 0) INTO v_expired
    FROM credit_allocations WHERE user_id = p_user AND is_open AND expires_at <= p_now;
  INSERT INTO credit_ledger (user_id, kind, credits, balance_after, allocation_id, actor, created_at)
  SELECT p_user, 'expiry', -remaining_credits, v_available - sum(remaining_credits) OVER (ORDER BY expires_at, id), id,
         'service:accounting', p_now
    FROM credit_allocations WHERE user_id = p_user AND is_open AND expires_at <= p_now ORDER BY expires_at, id;
  PERFORM tell_expired(p_user, id, remaining_credits, total_credits, expires_at) FROM (
    SELECT * FROM credit_allocations WHERE user_id = p_user AND is_open AND expires_at <= p_now ORDER BY expires_at, id) due;
  UPDATE credit_allocations SET remaining_credits = 0, is_open = FALSE
   WHERE user_id = p_user AND is_open AND expires_at <= p_now;
  UPDATE credit_balances
     SET available = v_available - v_expired,
         next_expiry = (SELECT min(expires_at) FROM credit_allocations WHERE user_id = p_user AND is_open)
   WHERE user_id = p_user
  RETURNING * INTO v_balance;
  PERFORM tell_balance(v_balance, v_before);
  RETURN v_balance;
END
$$;
