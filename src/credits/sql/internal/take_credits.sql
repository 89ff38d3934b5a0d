-- Takes p_amount credits out of the account's lots, first to expire first, then oldest, with one ledger entry per lot, and
-- adds p_held to what the account holds. lots and credits gain which lot gave what, in the order taken. The caller has
-- checked that p_amount is available under p_lock.
CREATE OR REPLACE FUNCTION take_credits(
  p_lock account_lock, p_cause entry_cause, p_amount bigint, p_held bigint, INOUT lots bigint[], INOUT credits bigint[]
)
LANGUAGE plpgsql AS $$
DECLARE
  v_available bigint := p_lock.available;
  v_left bigint := p_amount;
  v_take bigint;
  -- The last lot that gave: the next one comes after it. At first, the end of those that have expired.
  v_expires_at timestamptz := p_lock.locked_at;
  v_lot bigint := 9223372036854775807;
  v_remaining bigint;
  v_entry bigint := p_lock.last_entry;
BEGIN
  WHILE v_left > 0 LOOP
    SELECT id, expires_at, remaining_credits INTO v_lot, v_expires_at, v_remaining FROM credit_allocations
     WHERE account_id = p_lock.account_id AND is_open AND (expires_at, id) > (v_expires_at, v_lot)
     ORDER BY expires_at, id LIMIT 1;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'lots of account % are % credits short of the cached balance', p_lock.account_id, v_left
        USING ERRCODE = 'data_corrupted';
    END IF;
    v_take := least(v_remaining, v_left);
    v_left := v_left - v_take;
    v_available := v_available - v_take;
    v_entry := next_entry(v_entry);
    WITH taken AS (
      UPDATE credit_allocations SET remaining_credits = v_remaining - v_take, is_open = v_remaining > v_take
       WHERE account_id = p_lock.account_id AND id = v_lot
    )
    INSERT INTO credit_ledger
      (account_id, id, user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, notes, unit_id, api_key_id, created_at)
    OVERRIDING SYSTEM VALUE
    VALUES (p_lock.account_id, v_entry, p_cause.user_id, p_cause.kind, -v_take, v_available, v_lot, p_cause.session_id,
            p_cause.usage_id, p_cause.actor, p_cause.notes, p_cause.unit_id, p_cause.api_key_id, p_lock.locked_at);
    IF lots[cardinality(lots)] = v_lot THEN
      credits[cardinality(credits)] := credits[cardinality(credits)] + v_take;
    ELSE
      lots := lots || v_lot;
      credits := credits || v_take;
    END IF;
  END LOOP;
  PERFORM apply_balance(p_lock, v_available, p_lock.held + p_held, p_lock.next_expiry, v_entry);
END
$$;
