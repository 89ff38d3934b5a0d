-- Sets when a user's credits count as low; NULL: as everyone's. Credits that are low from now on are told of, unless that
-- was told already; so is that they are not low any more. Outcomes: ok, user_not_found.
CREATE OR REPLACE FUNCTION credit_set_low_threshold(p_user varchar, p_threshold bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances;
  v_is_low boolean;
  v_threshold bigint;
  v_data jsonb;
BEGIN
  PERFORM refuse('{userId,threshold}', ARRAY[
    is_user_id(p_user),
    coalesce(p_threshold BETWEEN 0 AND 1000000000000, TRUE)]);
  UPDATE credit_balances SET low_threshold = p_threshold WHERE user_id = p_user RETURNING * INTO v_balance;
  IF NOT FOUND THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  v_threshold := coalesce(p_threshold, nullif(current_setting('accounting.low_threshold', TRUE), '')::bigint, 0);
  v_is_low := v_threshold > 0 AND is_low(v_balance);
  v_data := jsonb_build_object('credits', v_balance.available + v_balance.held, 'availableCredits', v_balance.available,
                               'heldCredits', v_balance.held, 'threshold', v_threshold);
  IF v_is_low AND v_balance.told_state IS NULL THEN
    PERFORM write_event(p_user, 'credits.low', v_data);
    UPDATE credit_balances SET told_state = 'low' WHERE user_id = p_user;
  -- Who has nothing has not recovered: that is told when there are credits again.
  ELSIF NOT v_is_low AND v_balance.told_state = 'low' AND v_balance.available + v_balance.held > 0 THEN
    PERFORM write_event(p_user, 'credits.recovered', v_data || '{"isLow": false}');
    UPDATE credit_balances SET told_state = NULL WHERE user_id = p_user;
  END IF;
  RETURN '{"outcome": "ok"}';
END
$$;
