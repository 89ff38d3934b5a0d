-- Empties one lot for good: what it still holds is revoked now, what sessions hold of it when they give it back.
-- Outcomes: ok (the lot; the same when repeated), allocation_not_found, idempotency_mismatch.
CREATE OR REPLACE FUNCTION credit_revoke(
  p_user varchar, p_allocation bigint, p_notes text, p_actor varchar,
  p_caller varchar DEFAULT NULL, p_key varchar DEFAULT NULL, p_hash bytea DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_now timestamptz := v_lock.locked_at;
  v_lot credit_allocations;
  v_before bigint;
  v_answer jsonb := remembered_answer(p_caller, p_key, p_hash);
BEGIN
  PERFORM refuse('{userId,allocationId,notes,actor,"Idempotency-Key"}', ARRAY[
    is_user_id(p_user),
    p_allocation > 0,
    coalesce(char_length(p_notes) <= 1000, TRUE),
    char_length(p_actor) BETWEEN 1 AND 64,
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32))]);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  SELECT * INTO v_lot FROM credit_allocations WHERE user_id = p_user AND id = p_allocation;
  IF NOT FOUND THEN RETURN '{"outcome": "allocation_not_found"}'; END IF;
  IF v_lot.revoked_at IS NOT NULL THEN
    RETURN remember_answer(p_caller, p_key, p_hash, allocation_answer(v_lot));
  END IF;
  IF v_lot.remaining_credits > 0 THEN
    INSERT INTO credit_ledger (user_id, kind, credits, balance_after, allocation_id, actor, notes, created_at)
    VALUES (p_user, 'revocation', -v_lot.remaining_credits, v_balance.available - v_lot.remaining_credits,
            v_lot.id, p_actor, p_notes, v_now);
    v_before := v_balance.available + v_balance.held;
    UPDATE credit_balances SET available = available - v_lot.remaining_credits WHERE user_id = p_user
    RETURNING * INTO v_balance;
    PERFORM tell_balance(v_balance, v_before);
  END IF;
  UPDATE credit_allocations SET remaining_credits = 0, is_open = FALSE, revoked_at = v_now
   WHERE user_id = p_user AND id = p_allocation
  RETURNING * INTO v_lot;
  RETURN remember_answer(p_caller, p_key, p_hash, allocation_answer(v_lot));
END
$$;
