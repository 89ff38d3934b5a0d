-- Tells that a user's credits, held ones included, have come down to the threshold or to nothing: p_balance is what they
-- are now, p_before what they were. Called by whoever has written the balance and still holds its row, so that of many
-- spends at once one crosses. (A trigger would cost each movement the planning of its condition.)
CREATE OR REPLACE FUNCTION tell_balance(p_balance credit_balances, p_before bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_after bigint := p_balance.available + p_balance.held;
  v_threshold bigint;
  v_data jsonb;
BEGIN
  IF v_after >= p_before THEN RETURN; END IF;
  v_threshold := coalesce(p_balance.low_threshold, nullif(current_setting('accounting.low_threshold', TRUE), '')::bigint);
  IF v_after > 0 AND (v_threshold IS NULL OR v_after > v_threshold) THEN RETURN; END IF;
  v_data := jsonb_build_object('credits', v_after, 'availableCredits', p_balance.available,
                               'heldCredits', p_balance.held);
  IF v_threshold > 0 AND p_before > v_threshold THEN
    PERFORM write_event(p_balance.user_id, 'credits.low', v_data || jsonb_build_object('threshold', v_threshold));
  END IF;
  IF v_after = 0 THEN
    PERFORM write_event(p_balance.user_id, 'credits.exhausted', v_data);
  END IF;
END
$$;
