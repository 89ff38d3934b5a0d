-- Emits credits.low and credits.exhausted when an account's credits, held ones included, come down to its threshold or to
-- nothing, and credits.recovered when that is over. last_event is the state that was emitted last and is not over, so
-- credits.recovered always follows one of the others. The caller holds the account's lock: of many movements at once only
-- one crosses the threshold.
CREATE OR REPLACE FUNCTION emit_balance_events(p_lock account_lock, p_available bigint, p_held bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_before bigint := p_lock.available + p_lock.held;
  v_after bigint := p_available + p_held;
  v_threshold bigint := low_threshold(p_lock.low_threshold);
  v_is_low boolean := v_threshold > 0 AND v_after <= v_threshold;
  v_state varchar := CASE WHEN v_after = 0 THEN 'exhausted' WHEN v_is_low THEN 'low' END;
  v_data jsonb := jsonb_build_object('credits', v_after, 'availableCredits', p_available, 'heldCredits', p_held);
BEGIN
  IF v_after < v_before THEN
    IF v_is_low AND v_before > v_threshold THEN
      PERFORM write_event(p_lock.account_id, 'credits.low', v_data || jsonb_build_object('threshold', v_threshold));
    ELSIF v_after > 0 THEN
      RETURN;
    END IF;
    IF v_after = 0 THEN PERFORM write_event(p_lock.account_id, 'credits.exhausted', v_data); END IF;
  ELSIF v_after > v_before AND v_after > 0 AND v_state IS DISTINCT FROM p_lock.last_event THEN
    IF p_lock.last_event IS NULL THEN RETURN; END IF;
    PERFORM write_event(p_lock.account_id, 'credits.recovered',
                        v_data || jsonb_build_object('threshold', v_threshold, 'isLow', v_is_low));
  ELSE
    RETURN;
  END IF;
  UPDATE credit_balances SET last_event = v_state WHERE account_id = p_lock.account_id;
END
$$;
