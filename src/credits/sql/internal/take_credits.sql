-- Takes p_amount credits out of the user's lots, first to expire first, then oldest, one ledger entry per lot.
-- Appends to p_lots and p_credits which lot gave what, in the order taken. p_available is the balance before and after.
-- The caller holds the balance row, has made sure that p_amount is there, and writes the balance afterwards.
CREATE OR REPLACE FUNCTION take_credits(
  p_user varchar, p_amount bigint, p_kind varchar, p_session varchar, p_usage bigint, p_actor varchar, p_notes text,
  p_now timestamptz,
  INOUT p_available bigint, INOUT p_lots bigint[], INOUT p_credits bigint[]
)
LANGUAGE plpgsql AS $$
DECLARE
  v_left bigint := p_amount;
  v_take bigint;
  v_lot record;
BEGIN
  IF p_amount <= 0 THEN RETURN; END IF;
  FOR v_lot IN
    SELECT id, remaining_credits FROM credit_allocations
     WHERE user_id = p_user AND is_open AND expires_at > p_now
     ORDER BY expires_at, id
  LOOP
    v_take := least(v_lot.remaining_credits, v_left);
    UPDATE credit_allocations
       SET remaining_credits = remaining_credits - v_take, is_open = remaining_credits > v_take
     WHERE user_id = p_user AND id = v_lot.id;
    p_available := p_available - v_take;
    INSERT INTO credit_ledger
      (user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, notes, created_at)
    VALUES (p_user, p_kind, -v_take, p_available, v_lot.id, p_session, p_usage, p_actor, p_notes, p_now);
    IF p_lots[cardinality(p_lots)] = v_lot.id THEN
      p_credits[cardinality(p_credits)] := p_credits[cardinality(p_credits)] + v_take;
    ELSE
      p_lots := p_lots || v_lot.id;
      p_credits := p_credits || v_take;
    END IF;
    v_left := v_left - v_take;
    EXIT WHEN v_left = 0;
  END LOOP;
  IF v_left > 0 THEN
    RAISE EXCEPTION 'lots of user % are % credits short of the cached balance', p_user, v_left
      USING ERRCODE = 'data_corrupted';
  END IF;
END
$$;
