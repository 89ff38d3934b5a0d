-- Gives p_amount credits back to the lots they came from, last taken first. A lot that has expired or was revoked
-- meanwhile gets its refund and loses it at once, and the ledger has both entries; nobody gains lifetime by a refund.
-- p_lots and p_credits keep what was not given back. The caller holds the balance row and writes the balance.
CREATE OR REPLACE FUNCTION return_credits(
  p_user varchar, p_amount bigint, p_session varchar, p_usage bigint, p_actor varchar, p_now timestamptz,
  INOUT p_available bigint, INOUT p_lots bigint[], INOUT p_credits bigint[], OUT next_expiry timestamptz
)
LANGUAGE plpgsql AS $$
DECLARE
  v_left bigint := p_amount;
  v_give bigint;
  v_last integer := cardinality(p_lots);
  v_lot credit_allocations;
BEGIN
  WHILE v_left > 0 LOOP
    v_give := least(p_credits[v_last], v_left);
    SELECT * INTO STRICT v_lot FROM credit_allocations WHERE user_id = p_user AND id = p_lots[v_last];
    INSERT INTO credit_ledger
      (user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, created_at)
    VALUES (p_user, 'refund', v_give, p_available + v_give, v_lot.id, p_session, p_usage, p_actor, p_now);
    IF v_lot.expires_at <= p_now OR v_lot.revoked_at IS NOT NULL THEN
      INSERT INTO credit_ledger
        (user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, created_at)
      VALUES (p_user, CASE WHEN v_lot.revoked_at IS NULL THEN 'expiry' ELSE 'revocation' END,
              -v_give, p_available, v_lot.id, p_session, p_usage, 'service:accounting', p_now);
      IF v_lot.revoked_at IS NULL THEN
        PERFORM tell_expired(p_user, v_lot.id, v_give, v_lot.total_credits, v_lot.expires_at);
      END IF;
    ELSE
      UPDATE credit_allocations SET remaining_credits = remaining_credits + v_give, is_open = TRUE
       WHERE user_id = p_user AND id = v_lot.id;
      p_available := p_available + v_give;
      next_expiry := least(next_expiry, v_lot.expires_at);
    END IF;
    v_left := v_left - v_give;
    IF v_give < p_credits[v_last] THEN
      p_credits[v_last] := p_credits[v_last] - v_give;
    ELSE
      v_last := v_last - 1;
    END IF;
  END LOOP;
  -- Once: cutting the arrays for every lot takes time with the square of their number.
  p_lots := p_lots[1:v_last];
  p_credits := p_credits[1:v_last];
END
$$;
