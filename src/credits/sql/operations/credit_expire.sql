-- Writes down what has expired of a user's credits; the sweeper calls it. With p_wait false a busy user is left for
-- later (outcome busy): whoever holds the lock expires the lots itself.
CREATE OR REPLACE FUNCTION credit_expire(p_user varchar, p_wait boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_before bigint;
  v_lock record;
  v_after credit_balances;
BEGIN
  PERFORM refuse('{userId,wait}', ARRAY[
    is_user_id(p_user),
    p_wait IS NOT NULL]);
  IF NOT p_wait THEN
    PERFORM FROM credit_balances WHERE user_id = p_user FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN '{"outcome": "busy"}'; END IF;
  END IF;
  SELECT available INTO v_before FROM credit_balances WHERE user_id = p_user FOR UPDATE;
  v_lock := lock_balance(p_user);
  v_after := v_lock.balance;
  RETURN jsonb_build_object('outcome', 'ok', 'expiredCredits', v_before - v_after.available);
END
$$;
