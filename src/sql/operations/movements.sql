-- Carries out several movements in one transaction and returns, in no fixed order, the place of each in p_calls and its
-- answer. p_calls is an array of requests, each with the name of its operation. An error of one is an error of all, and
-- the caller sends each alone then. After a fifth of a second from the end of the first one the rest is answered
-- not_carried_out: that bounds how long accounts are locked. Accounts are locked in one order everywhere, by their bytes,
-- and those of one account in the order of p_calls. With several accounts in it a lock that is held for long must not keep
-- the others: after p_lock_milliseconds it gives up.
--
-- Ends of sessions that follow each other are counted in their budgets at once.
CREATE OR REPLACE FUNCTION movements(
  p_account varchar, p_calls jsonb, p_lock_milliseconds integer, OUT place bigint, OUT answer jsonb
)
RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_call jsonb;
  v_account varchar;
  v_counts session_count[];
  v_settled record;
  v_until timestamptz;
BEGIN
  PERFORM set_config('lock_timeout', p_lock_milliseconds::text, TRUE);
  FOR v_call, place IN
    SELECT c.value, c.ordinality FROM jsonb_array_elements(p_calls) WITH ORDINALITY c
     ORDER BY c.value ->> 'accountId' COLLATE "C", c.ordinality
  LOOP
    IF v_counts IS NOT NULL AND (v_call ->> 'operation' <> 'session_settle' OR v_call ->> 'accountId' <> v_account) THEN
      PERFORM count_ends(v_account, v_counts);
      v_counts := NULL;
    END IF;
    v_account := v_call ->> 'accountId';
    IF clock_timestamp() > v_until THEN
      answer := '{"outcome": "not_carried_out"}';
    ELSE
      CASE v_call ->> 'operation'
        WHEN 'session_hold' THEN answer := session_hold(v_account, v_call);
        WHEN 'session_progress' THEN answer := session_progress(v_account, v_call);
        WHEN 'session_settle' THEN
          v_settled := settle_session(v_account, v_call, v_counts);
          answer := v_settled.answer;
          v_counts := v_settled.counts;
        WHEN 'usage_record' THEN answer := usage_record(v_account, v_call);
        WHEN 'usage_charge' THEN answer := usage_charge(v_account, v_call);
        WHEN 'usage_review' THEN answer := usage_review(v_account, v_call);
        WHEN 'credit_allocate' THEN answer := credit_allocate(v_account, v_call);
        WHEN 'credit_deduct' THEN answer := credit_deduct(v_account, v_call);
        WHEN 'credit_revoke' THEN answer := credit_revoke(v_account, v_call);
      END CASE;
      -- Not before: what the first one waits for, the others no longer do.
      v_until := coalesce(v_until, clock_timestamp() + interval '200 milliseconds');
    END IF;
    RETURN NEXT;
  END LOOP;
  IF v_counts IS NOT NULL THEN PERFORM count_ends(v_account, v_counts); END IF;
END
$$;
