-- Sets a user's cache to what the lots and the active sessions say, and the ledger right with corrections: one for each
-- lot whose entries add up to something else, and one of 0 that tells what the cache said. Nothing when all agrees.
-- Answers the available credits before and after, or user_not_found.
CREATE OR REPLACE FUNCTION credit_repair(p_user varchar, p_actor varchar) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_now timestamptz;
  v_before credit_balances;
  v_after credit_balances;
  v_chain bigint;
  v_lot record;
BEGIN
  PERFORM refuse('{userId,actor}', ARRAY[
    is_user_id(p_user),
    char_length(p_actor) BETWEEN 1 AND 64]);
  SELECT * INTO v_before FROM credit_balances WHERE user_id = p_user FOR UPDATE;
  IF NOT FOUND THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  v_now := clock_timestamp();
  v_after := v_before;
  SELECT coalesce(sum(remaining_credits), 0), min(expires_at) FILTER (WHERE is_open)
    INTO v_after.available, v_after.next_expiry FROM credit_allocations WHERE user_id = p_user;
  SELECT coalesce(sum(allocated_credits), 0) INTO v_after.held
    FROM streaming_sessions WHERE user_id = p_user AND status = 'active';
  SELECT coalesce((SELECT balance_after FROM credit_ledger WHERE user_id = p_user ORDER BY id DESC LIMIT 1), 0)
    INTO v_chain;
  FOR v_lot IN
    SELECT l.id, l.remaining_credits - coalesce(sum(e.credits), 0) AS missing
      FROM credit_allocations l LEFT JOIN credit_ledger e ON e.user_id = l.user_id AND e.allocation_id = l.id
     WHERE l.user_id = p_user GROUP BY l.id, l.remaining_credits
    HAVING l.remaining_credits <> coalesce(sum(e.credits), 0) ORDER BY l.id
  LOOP
    v_chain := v_chain + v_lot.missing;
    INSERT INTO credit_ledger (user_id, kind, credits, balance_after, allocation_id, actor, notes, created_at)
    VALUES (p_user, 'correction', v_lot.missing, greatest(v_chain, 0), v_lot.id, p_actor,
            'The ledger did not add up to this lot', v_now);
  END LOOP;
  IF (v_before.available, v_before.held) IS DISTINCT FROM (v_after.available, v_after.held) OR v_chain <> v_after.available
  THEN
    INSERT INTO credit_ledger (user_id, kind, credits, balance_after, actor, notes, created_at)
    VALUES (p_user, 'correction', 0, v_after.available, p_actor,
            format('The balance said %s available and %s held', v_before.available, v_before.held), v_now);
  END IF;
  UPDATE credit_balances SET available = v_after.available, held = v_after.held, next_expiry = v_after.next_expiry
   WHERE user_id = p_user
  RETURNING * INTO v_after;
  PERFORM tell_balance(v_after, v_before.available + v_before.held);
  RETURN jsonb_build_object('outcome', 'ok', 'availableBefore', v_before.available, 'available', v_after.available,
                            'heldBefore', v_before.held, 'held', v_after.held);
END
$$;
