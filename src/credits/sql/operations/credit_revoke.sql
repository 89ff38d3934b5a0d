-- Empties one lot for good: what it still holds is revoked now, what sessions hold of it when they give it back.
-- Outcomes: ok (the lot; the same when repeated), allocation_not_found, idempotency_mismatch.
CREATE OR REPLACE FUNCTION credit_revoke(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_allocation bigint := p ->> 'allocationId';
  p_notes text := p ->> 'notes';
  p_actor varchar := p ->> 'actor';
  v_lock account_lock := lock_account(p_account);
  v_lot credit_allocations;
  v_entry bigint;
  v_answer jsonb;
BEGIN
  PERFORM refuse('{accountId,allocationId,notes,actor,"Idempotency-Key"}', ARRAY[
    is_account_id(p_account),
    p_allocation > 0,
    coalesce(char_length(p_notes) <= 1000, TRUE),
    char_length(p_actor) BETWEEN 1 AND 64,
    is_idempotency(p)]);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  SELECT * INTO v_lot FROM credit_allocations WHERE account_id = p_account AND id = p_allocation;
  IF NOT FOUND THEN RETURN '{"outcome": "allocation_not_found"}'; END IF;
  IF v_lot.revoked_at IS NOT NULL THEN RETURN keep_answer(p, allocation_answer(v_lot)); END IF;
  IF v_lot.remaining_credits > 0 THEN
    v_entry := next_entry(v_lock.last_entry);
    INSERT INTO credit_ledger (account_id, id, kind, credits, balance_after, allocation_id, actor, notes, created_at)
    OVERRIDING SYSTEM VALUE
    VALUES (p_account, v_entry, 'revocation', -v_lot.remaining_credits, v_lock.available - v_lot.remaining_credits,
            v_lot.id, p_actor, p_notes, v_lock.locked_at);
    PERFORM apply_balance(v_lock, v_lock.available - v_lot.remaining_credits, v_lock.held, v_lock.next_expiry, v_entry);
  END IF;
  PERFORM write_activity(p, p_account, 'credits.revoked', p_allocation::text,
                         jsonb_build_object('remainingCredits', v_lot.remaining_credits),
                         jsonb_build_object('remainingCredits', 0, 'revokedAt', iso_time(v_lock.locked_at), 'notes', p_notes));
  UPDATE credit_allocations SET remaining_credits = 0, is_open = FALSE, revoked_at = v_lock.locked_at
   WHERE account_id = p_account AND id = p_allocation
  RETURNING * INTO v_lot;
  RETURN keep_answer(p, allocation_answer(v_lot));
END
$$;
