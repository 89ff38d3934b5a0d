-- Takes p_amount credits out of the account's lots, first to expire first, then oldest, with one ledger entry per lot.
-- available is the balance before and after. lots and credits gain which lot gave what, in the order taken. The caller
-- holds the account's lock, has checked that p_amount is available, and applies the balance afterwards.
CREATE OR REPLACE FUNCTION take_credits(
  p_cause entry_cause, p_amount bigint, INOUT available bigint, INOUT lots bigint[], INOUT credits bigint[]
)
LANGUAGE plpgsql AS $$
DECLARE
  v_left bigint := p_amount;
  v_take bigint;
  v_lot bigint;
  v_remaining bigint;
BEGIN
  IF p_amount = 0 THEN RETURN; END IF;
  FOR v_lot, v_remaining IN
    SELECT id, remaining_credits FROM credit_allocations
     WHERE account_id = p_cause.account_id AND is_open AND expires_at > p_cause.at
     ORDER BY expires_at, id
  LOOP
    v_take := least(v_remaining, v_left);
    v_left := v_left - v_take;
    available := available - v_take;
    WITH taken AS (
      UPDATE credit_allocations SET remaining_credits = v_remaining - v_take, is_open = v_remaining > v_take
       WHERE account_id = p_cause.account_id AND id = v_lot
    )
    INSERT INTO credit_ledger
      (account_id, user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, notes, created_at)
    VALUES (p_cause.account_id, p_cause.user_id, p_cause.kind, -v_take, available, v_lot, p_cause.session_id,
            p_cause.usage_id, p_cause.actor, p_cause.notes, p_cause.at);
    IF lots[cardinality(lots)] = v_lot THEN
      credits[cardinality(credits)] := credits[cardinality(credits)] + v_take;
    ELSE
      lots := lots || v_lot;
      credits := credits || v_take;
    END IF;
    EXIT WHEN v_left = 0;
  END LOOP;
  IF v_left > 0 THEN
    RAISE EXCEPTION 'lots of account % are % credits short of the cached balance', p_cause.account_id, v_left
      USING ERRCODE = 'data_corrupted';
  END IF;
END
$$;
