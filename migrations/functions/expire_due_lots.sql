-- Empties the user's lots that have expired, one ledger entry and one event each, and corrects the cache.
-- The caller holds the user's balance row, so no lot changes between these statements.
CREATE OR REPLACE FUNCTION expire_due_lots(p_user varchar, p_now timestamptz) RETURNS credit_balances
LANGUAGE plpgsql AS $$
DECLARE
  v_available bigint;
  v_before bigint;
  v_balance credit_balances;
  v_lot record;
BEGIN
  SELECT available, available + held INTO v_available, v_before FROM credit_balances WHERE user_id = p_user;
  FOR v_lot IN
    SELECT id, remaining_credits, total_credits, expires_at FROM credit_allocations
     WHERE user_id = p_user AND is_open AND expires_at <= p_now
     ORDER BY expires_at, id
  LOOP
    UPDATE credit_allocations SET remaining_credits = 0, is_open = FALSE WHERE user_id = p_user AND id = v_lot.id;
    v_available := v_available - v_lot.remaining_credits;
    INSERT INTO credit_ledger (user_id, kind, credits, balance_after, allocation_id, actor, created_at)
    VALUES (p_user, 'expiry', -v_lot.remaining_credits, v_available, v_lot.id, 'service:accounting', p_now);
    PERFORM tell_expired(p_user, v_lot.id, v_lot.remaining_credits, v_lot.total_credits, v_lot.expires_at);
  END LOOP;
  UPDATE credit_balances
     SET available = v_available,
         next_expiry = (SELECT min(expires_at) FROM credit_allocations WHERE user_id = p_user AND is_open)
   WHERE user_id = p_user
  RETURNING * INTO v_balance;
  PERFORM tell_balance(v_balance, v_before);
  RETURN v_balance;
END
$$;
