-- Gives a user a new lot. With p_email and p_username a user not yet seen is created.
-- A user has at most 1,000 open lots, so that no movement has to walk over more.
-- Outcomes: ok (the lot), user_not_found, email_taken, balance_limit, too_many_lots, idempotency_mismatch.
CREATE OR REPLACE FUNCTION credit_allocate(
  p_user varchar, p_credits bigint, p_expiry_days integer, p_notes text, p_actor varchar,
  p_email varchar, p_username varchar, p_caller varchar, p_key varchar, p_hash bytea
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  c_most_open CONSTANT integer := 1000;
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_lot credit_allocations;
  v_now timestamptz;
  v_answer jsonb;
BEGIN
  PERFORM refuse('{userId,credits,expiryDays,notes,actor,email,username,"Idempotency-Key"}', ARRAY[
    is_user_id(p_user),
    p_credits BETWEEN 1 AND 1000000000000,
    p_expiry_days BETWEEN 1 AND 3650,
    coalesce(char_length(p_notes) <= 1000, TRUE),
    char_length(p_actor) BETWEEN 1 AND 64,
    coalesce(char_length(p_email) BETWEEN 3 AND 255, TRUE),
    coalesce(is_id(p_username, 100), TRUE),
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32))]);
  v_answer := remembered_answer(p_caller, p_key, p_hash);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF v_balance.user_id IS NULL THEN
    IF p_email IS NULL OR p_username IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
    BEGIN
      INSERT INTO user_accounts (user_id, email, username) VALUES (p_user, p_email, p_username)
      ON CONFLICT (user_id) DO NOTHING;
    EXCEPTION WHEN unique_violation THEN
      -- Unlike a token, a supervisor's word does not take an e-mail away from another account.
      -- But the same user may have been created at this very moment, with this very e-mail: then go on.
      PERFORM FROM user_accounts WHERE user_id = p_user;
      IF NOT FOUND THEN RETURN '{"outcome": "email_taken"}'; END IF;
    END;
    INSERT INTO credit_balances (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
    v_lock := lock_balance(p_user);
    v_balance := v_lock.balance;
  END IF;
  -- Below 2^53 - 1, the largest integer that JSON clients read exactly: a late settlement may still return credits.
  IF v_balance.available + v_balance.held + p_credits > 9000000000000000 THEN
    RETURN '{"outcome": "balance_limit"}';
  END IF;
  v_now := v_lock.locked_at;
  -- The first count is cheap and hardly ever reached. The second counts the open lots, and those that are empty only for
  -- as long as active sessions hold their credits: they open again when these come back.
  IF (SELECT count(*) FROM (SELECT FROM credit_allocations
                             WHERE user_id = p_user AND expires_at > v_now LIMIT c_most_open) unexpired) >= c_most_open
     AND (SELECT count(*) FROM (
            SELECT id FROM credit_allocations WHERE user_id = p_user AND is_open AND expires_at > v_now
            UNION
            SELECT l.id FROM (SELECT DISTINCT unnest(held_lots) AS id FROM streaming_sessions
                               WHERE user_id = p_user AND status = 'active') held
              JOIN credit_allocations l ON l.user_id = p_user AND l.id = held.id
             WHERE l.expires_at > v_now AND l.revoked_at IS NULL) open_lots) >= c_most_open THEN
    RETURN '{"outcome": "too_many_lots"}';
  END IF;
  INSERT INTO credit_allocations
    (user_id, total_credits, remaining_credits, allocated_by, allocated_at, expires_at, notes)
  -- Days of 24 hours: an interval of days would follow a session's time zone over a clock change.
  VALUES (p_user, p_credits, p_credits, p_actor, v_now, v_now + make_interval(hours => 24 * p_expiry_days), p_notes)
  RETURNING * INTO v_lot;
  INSERT INTO credit_ledger (user_id, kind, credits, balance_after, allocation_id, actor, notes, created_at)
  VALUES (p_user, 'allocation', p_credits, v_balance.available + p_credits, v_lot.id, p_actor, p_notes, v_now);
  UPDATE credit_balances
     SET available = available + p_credits, next_expiry = least(next_expiry, v_lot.expires_at)
   WHERE user_id = p_user
  RETURNING * INTO v_balance;
  IF v_balance.told_state IS NOT NULL THEN
    PERFORM tell_balance(v_balance, v_balance.available + v_balance.held - p_credits);
  END IF;
  RETURN remember_answer(p_caller, p_key, p_hash, allocation_answer(v_lot));
END
$$;
