-- Gives p_amount credits back to the lots they came from, last taken first, and adds p_held to what the account holds.
-- lots and credits keep what was not given back. A lot that has expired or was revoked meanwhile gets its refund and loses
-- it at once, and the ledger has both entries: a refund never extends an expiry.
CREATE OR REPLACE FUNCTION return_credits(
  p_lock account_lock, p_cause entry_cause, p_amount bigint, p_held bigint, INOUT lots bigint[], INOUT credits bigint[]
)
LANGUAGE plpgsql AS $$
DECLARE
  v_available bigint := p_lock.available;
  v_next_expiry timestamptz := p_lock.next_expiry;
  v_left bigint := p_amount;
  v_give bigint;
  v_last integer := cardinality(lots);
  v_expires_at timestamptz;
  v_revoked_at timestamptz;
  v_total bigint;
  v_remaining bigint;
  v_entry bigint := p_lock.last_entry;
BEGIN
  WHILE v_left > 0 LOOP
    v_give := least(credits[v_last], v_left);
    -- Found by its key alone: with the expiry as a condition the planner may walk over all lots of the account.
    UPDATE credit_allocations
       SET remaining_credits = remaining_credits
             + CASE WHEN expires_at > p_lock.locked_at AND revoked_at IS NULL THEN v_give ELSE 0 END,
           is_open = is_open OR (expires_at > p_lock.locked_at AND revoked_at IS NULL)
     WHERE account_id = p_lock.account_id AND id = lots[v_last]
    RETURNING expires_at, revoked_at, total_credits, remaining_credits
      INTO STRICT v_expires_at, v_revoked_at, v_total, v_remaining;
    IF v_remaining > v_total THEN
      RAISE EXCEPTION 'lot % of account % would have more than it was given', lots[v_last], p_lock.account_id
        USING ERRCODE = 'data_corrupted';
    END IF;
    v_entry := next_entry(v_entry);
    INSERT INTO credit_ledger
      (account_id, id, user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, unit_id, api_key_id,
       created_at)
    OVERRIDING SYSTEM VALUE
    VALUES (p_lock.account_id, v_entry, p_cause.user_id, p_cause.kind, v_give, v_available + v_give, lots[v_last],
            p_cause.session_id, p_cause.usage_id, p_cause.actor, p_cause.unit_id, p_cause.api_key_id, p_lock.locked_at);
    IF v_expires_at > p_lock.locked_at AND v_revoked_at IS NULL THEN
      v_available := v_available + v_give;
      v_next_expiry := least(v_next_expiry, v_expires_at);
    ELSE
      v_entry := next_entry(v_entry);
      INSERT INTO credit_ledger
        (account_id, id, user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, unit_id, api_key_id,
       created_at)
      OVERRIDING SYSTEM VALUE
      VALUES (p_lock.account_id, v_entry, p_cause.user_id, CASE WHEN v_revoked_at IS NULL THEN 'expiry' ELSE 'revocation' END,
              -v_give, v_available, lots[v_last], p_cause.session_id, p_cause.usage_id, 'service:accounting', p_cause.unit_id,
              p_cause.api_key_id, p_lock.locked_at);
      IF v_revoked_at IS NULL THEN
        PERFORM emit_lot_expired(p_lock.account_id, lots[v_last], v_give, v_total, v_expires_at);
      END IF;
    END IF;
    v_left := v_left - v_give;
    IF v_give < credits[v_last] THEN
      credits[v_last] := credits[v_last] - v_give;
    ELSE
      v_last := v_last - 1;
    END IF;
  END LOOP;
  -- Once: cutting the arrays for every lot takes time with the square of their number.
  lots := lots[1:v_last];
  credits := credits[1:v_last];
  PERFORM apply_balance(p_lock, v_available, p_lock.held + p_held, v_next_expiry, v_entry);
END
$$;
