-- Gives an account a new lot. The account of a user not yet seen is created, with email and username where they are given
-- (accountCreated). An account has at most 1,000 open lots, so that no movement has to walk over more.
-- Outcomes: ok (the lot), user_not_found (an organisation), email_taken, balance_limit, too_many_lots, idempotency_mismatch.
CREATE OR REPLACE FUNCTION credit_allocate(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  c_most_open CONSTANT integer := 1000;
  p_credits bigint := p ->> 'credits';
  p_expiry_days integer := p ->> 'expiryDays';
  p_notes text := p ->> 'notes';
  p_actor varchar := p ->> 'actor';
  p_email varchar := p ->> 'email';
  p_username varchar := p ->> 'username';
  v_lock account_lock := lock_account(p_account);
  v_is_new boolean := v_lock.account_id IS NULL;
  v_lot credit_allocations;
  v_entry bigint;
  v_now timestamptz;
  v_answer jsonb;
BEGIN
  PERFORM refuse('{accountId,credits,expiryDays,notes,actor,email,username,"Idempotency-Key"}', ARRAY[
    is_account_id(p_account),
    p_credits BETWEEN 1 AND 1000000000000,
    p_expiry_days BETWEEN 1 AND 3650,
    coalesce(char_length(p_notes) <= 1000, TRUE),
    char_length(p_actor) BETWEEN 1 AND 64,
    coalesce(char_length(p_email) BETWEEN 3 AND 255, TRUE),
    coalesce(is_id(p_username, 100), TRUE),
    is_idempotency(p)]);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF v_is_new THEN
    IF p_account ^@ 'org:' THEN RETURN '{"outcome": "user_not_found"}'; END IF;
    BEGIN
      INSERT INTO user_accounts (user_id, email, username)
      VALUES (p_account, p_email, coalesce(p_username, p_account))
      ON CONFLICT (user_id) DO NOTHING;
      -- Another allocation may have created it at this very moment.
      v_is_new := FOUND;
    EXCEPTION WHEN unique_violation THEN
      -- Unlike a token, an allocation does not take an e-mail away from another account.
      -- But the same user may have been created at this very moment, with this very e-mail: then go on.
      PERFORM FROM user_accounts WHERE user_id = p_account;
      IF NOT FOUND THEN RETURN '{"outcome": "email_taken"}'; END IF;
      v_is_new := FALSE;
    END;
    INSERT INTO credit_balances (account_id) VALUES (p_account) ON CONFLICT (account_id) DO NOTHING;
    v_lock := lock_account(p_account);
  END IF;
  -- Below 2^53 - 1, the largest integer that JSON clients read exactly: a late settlement may still return credits.
  IF v_lock.available + v_lock.held + p_credits > 9000000000000000 THEN RETURN '{"outcome": "balance_limit"}'; END IF;
  v_now := v_lock.locked_at;
  -- The first count is cheap and hardly ever reached. The second counts the open lots, and those that are empty only for
  -- as long as active sessions hold their credits: they open again when these come back.
  IF (SELECT count(*) FROM (SELECT FROM credit_allocations
                             WHERE account_id = p_account AND expires_at > v_now LIMIT c_most_open) unexpired) >= c_most_open
     AND (SELECT count(*) FROM (
            SELECT id FROM credit_allocations WHERE account_id = p_account AND is_open AND expires_at > v_now
            UNION
            SELECT l.id FROM (SELECT DISTINCT unnest(held_lots) AS id FROM streaming_sessions
                               WHERE account_id = p_account AND status = 'active') held
              JOIN credit_allocations l ON l.account_id = p_account AND l.id = held.id
             WHERE l.expires_at > v_now AND l.revoked_at IS NULL) open_lots) >= c_most_open THEN
    RETURN '{"outcome": "too_many_lots"}';
  END IF;
  INSERT INTO credit_allocations
    (account_id, total_credits, remaining_credits, allocated_by, allocated_at, expires_at, notes)
  -- Days of 24 hours: an interval of days would follow a session's time zone over a clock change.
  VALUES (p_account, p_credits, p_credits, p_actor, v_now, v_now + make_interval(hours => 24 * p_expiry_days), p_notes)
  RETURNING * INTO v_lot;
  v_entry := next_entry(v_lock.last_entry);
  INSERT INTO credit_ledger (account_id, id, kind, credits, balance_after, allocation_id, actor, notes, created_at)
  OVERRIDING SYSTEM VALUE
  VALUES (p_account, v_entry, 'allocation', p_credits, v_lock.available + p_credits, v_lot.id, p_actor, p_notes, v_now);
  PERFORM apply_balance(v_lock, v_lock.available + p_credits, v_lock.held, least(v_lock.next_expiry, v_lot.expires_at),
                        v_entry);
  PERFORM write_activity(p, p_account, 'credits.allocated', v_lot.id::text, NULL, allocation_answer(v_lot));
  RETURN keep_answer(p, allocation_answer(v_lot) || jsonb_build_object('accountCreated', v_is_new));
END
$$;
