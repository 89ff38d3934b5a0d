-- Runs several operations in one transaction, in their order, and answers one row for each: p_calls is an array of
-- [operation, its arguments]. An error of one is an error of all, and the caller asks for each alone then. After a fifth
-- of a second from the end of the first one the rest is answered not_carried_out: that bounds how long accounts are locked. It comes sorted by user, so that two of these cannot wait for each other. With several users in it a lock that
-- somebody else holds for long must not keep the others: after p_lock_milliseconds it gives up.
CREATE OR REPLACE FUNCTION movements(p_calls jsonb, p_lock_milliseconds integer) RETURNS SETOF jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  c jsonb;
  a jsonb;
  v_until timestamptz;
BEGIN
  PERFORM set_config('lock_timeout', p_lock_milliseconds::text, TRUE);
  FOR c IN SELECT jsonb_array_elements(p_calls) LOOP
    IF clock_timestamp() > v_until THEN
      RETURN NEXT '{"outcome": "not_carried_out"}'::jsonb;
      CONTINUE;
    END IF;
    a := c -> 1;
    RETURN NEXT CASE c ->> 0
      WHEN 'session_hold' THEN session_hold(
        a ->> 0, a ->> 1, a ->> 2, (a ->> 3)::bigint, (a ->> 4)::bigint, (a ->> 5)::bigint, (a ->> 6)::integer,
        (a ->> 7)::integer, (a ->> 8)::boolean, a ->> 9, (a ->> 10)::bigint)
      WHEN 'session_progress' THEN session_progress(
        a ->> 0, a ->> 1, (a ->> 2)::bigint, (a ->> 3)::integer, (a ->> 4)::integer, a ->> 5,
        (a ->> 6)::integer)
      WHEN 'session_settle' THEN session_settle(
        a ->> 0, a ->> 1, a ->> 2, (a ->> 3)::boolean, (a ->> 4)::bigint, (a ->> 5)::bigint, (a ->> 6)::bigint,
        (a ->> 7)::bigint, (a ->> 8)::numeric, a ->> 9)
      WHEN 'usage_record' THEN usage_record(
        a ->> 0, (a ->> 1)::timestamptz, a ->> 2, a ->> 3, (a ->> 4)::bigint, (a ->> 5)::jsonb, a ->> 6, a ->> 7,
        (a ->> 8)::bytea, (a ->> 9)::bigint)
      WHEN 'usage_charge' THEN usage_charge(
        a ->> 0, a ->> 1, (a ->> 2)::bytea, a ->> 3, (a ->> 4)::bigint, (a ->> 5)::bigint, (a ->> 6)::bigint,
        (a ->> 7)::bigint, a ->> 8, (a ->> 9)::jsonb, (a ->> 10)::timestamptz, (a ->> 11)::numeric, a ->> 12,
        a ->> 13, (a ->> 14)::boolean, a ->> 15, (a ->> 16)::bigint, a ->> 17, a ->> 18, (a ->> 19)::bytea)
      WHEN 'credit_deduct' THEN credit_deduct(
        a ->> 0, (a ->> 1)::bigint, a ->> 2, a ->> 3, a ->> 4, a ->> 5, (a ->> 6)::bytea)
    END;
    -- Not before: what the first one waits for, the others no longer do.
    v_until := coalesce(v_until, clock_timestamp() + interval '200 milliseconds');
  END LOOP;
END
$$;
