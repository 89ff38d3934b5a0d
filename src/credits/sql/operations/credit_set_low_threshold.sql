-- Sets the credits at which an account counts as low; NULL: the service's setting. Emits credits.low where that makes it
-- low, unless it was emitted already, and credits.recovered where it no longer is. Outcomes: ok, user_not_found.
CREATE OR REPLACE FUNCTION credit_set_low_threshold(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_threshold bigint := p ->> 'threshold';
  v_lock account_lock := lock_account(p_account);
  v_credits bigint := v_lock.available + v_lock.held;
  v_threshold bigint := low_threshold(p_threshold);
  v_is_low boolean := v_threshold > 0 AND v_credits <= v_threshold;
  v_data jsonb := jsonb_build_object('credits', v_credits, 'availableCredits', v_lock.available,
                                     'heldCredits', v_lock.held, 'threshold', v_threshold);
BEGIN
  PERFORM refuse('{accountId,threshold}', ARRAY[
    is_account_id(p_account),
    coalesce(p_threshold BETWEEN 0 AND 1000000000000, TRUE)]);
  IF v_lock.account_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF v_is_low AND v_lock.last_event IS NULL THEN
    PERFORM write_event(p_account, 'credits.low', v_data);
    v_lock.last_event := 'low';
  -- An account with nothing has not recovered: that is emitted when there are credits again.
  ELSIF NOT v_is_low AND v_lock.last_event = 'low' AND v_credits > 0 THEN
    PERFORM write_event(p_account, 'credits.recovered', v_data || '{"isLow": false}');
    v_lock.last_event := NULL;
  END IF;
  UPDATE credit_balances SET low_threshold = p_threshold, last_event = v_lock.last_event WHERE account_id = p_account;
  PERFORM write_activity(p, p_account, 'threshold.set', p_account, jsonb_build_object('threshold', v_lock.low_threshold),
                         jsonb_build_object('threshold', p_threshold));
  RETURN '{"outcome": "ok"}';
END
$$;
