-- Tells what a change of a user's credits, held ones included, means: they have come down to the threshold or to nothing,
-- or it is over. p_balance is what they are now, p_before what they were. Called by whoever has written the balance and
-- still holds its row, so that of many spends at once one crosses. (A trigger would cost each movement the planning of
-- its condition.) told_state is what the user was last told of and is not over: nobody recovers from what was never told.
CREATE OR REPLACE FUNCTION tell_balance(p_balance credit_balances, p_before bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_after bigint := p_balance.available + p_balance.held;
  v_threshold bigint := coalesce(p_balance.low_threshold, nullif(current_setting('accounting.low_threshold', TRUE), '')::bigint, 0);
  v_is_low boolean := v_threshold > 0 AND v_after <= v_threshold;
  v_state varchar := CASE WHEN v_after = 0 THEN 'exhausted' WHEN v_is_low THEN 'low' END;
  v_data jsonb := jsonb_build_object('credits', v_after, 'availableCredits', p_balance.available,
                                     'heldCredits', p_balance.held);
BEGIN
  IF v_after < p_before THEN
    IF v_is_low AND p_before > v_threshold THEN
      PERFORM write_event(p_balance.user_id, 'credits.low', v_data || jsonb_build_object('threshold', v_threshold));
    ELSIF v_after > 0 THEN
      RETURN;
    END IF;
    IF v_after = 0 THEN PERFORM write_event(p_balance.user_id, 'credits.exhausted', v_data); END IF;
  ELSIF v_after > p_before AND v_after > 0 AND v_state IS DISTINCT FROM p_balance.told_state THEN
    IF p_balance.told_state IS NULL THEN RETURN; END IF;
    PERFORM write_event(p_balance.user_id, 'credits.recovered',
                        v_data || jsonb_build_object('threshold', v_threshold, 'isLow', v_is_low));
  ELSE
    RETURN;
  END IF;
  UPDATE credit_balances SET told_state = v_state WHERE user_id = p_balance.user_id;
END
$$;
