-- Writes off an account's expired lots; the sweeper calls it. Without wait a busy account is left for
-- later (outcome busy): the movement that holds the lock expires the lots itself. Outcomes: ok, busy.
CREATE OR REPLACE FUNCTION credit_expire(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_wait boolean := p ->> 'wait';
  v_before bigint;
  v_lock account_lock;
BEGIN
  PERFORM refuse('{accountId,wait}', ARRAY[
    is_account_id(p_account),
    p_wait IS NOT NULL]);
  IF NOT p_wait THEN
    PERFORM FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN '{"outcome": "busy"}'; END IF;
  END IF;
  SELECT available INTO v_before FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE;
  v_lock := lock_account(p_account);
  RETURN jsonb_build_object('outcome', 'ok', 'expiredCredits', v_before - v_lock.available);
END
$$;
