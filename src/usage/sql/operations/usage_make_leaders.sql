-- Makes one list of usage_leaders that was asked for: one that has not been made yet, or one that was made more than an
-- hour ago and asked for since. Drops lists that were not asked for in a week, and all but the 50 asked for last. Returns
-- whether it made one; one caller at a time, FALSE to the others.
CREATE OR REPLACE FUNCTION usage_make_leaders() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
-- One at a time, so there may be memory to add a million accounts up.
SET work_mem = '64MB' AS $$
DECLARE
  l usage_leaders;
BEGIN
  PERFORM FROM usage_closing FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN FALSE; END IF;
  DELETE FROM usage_leaders
   WHERE asked_at <= made_at AND made_at < now() - interval '7 days'
      OR (first_day, end_day) IN (SELECT first_day, end_day FROM usage_leaders ORDER BY asked_at DESC OFFSET 50);
  SELECT * INTO l FROM usage_leaders
   WHERE made_at IS NULL OR (made_at < asked_at AND made_at < now() - interval '1 hour')
   -- The newest question first: a list that takes too long to make does not stop the others.
   ORDER BY asked_at DESC LIMIT 1;
  IF NOT FOUND THEN RETURN FALSE; END IF;
  SELECT coalesce(jsonb_agg(jsonb_build_array(account_id, credits) ORDER BY credits DESC, account_id), '[]') INTO l.users
    FROM (SELECT account_id, sum(credits) AS credits FROM usage_daily
           WHERE day >= l.first_day AND day < l.end_day AND records > 0
           GROUP BY 1 ORDER BY 2 DESC, 1
           -- One more than an answer names, so that the answer can say that there are others.
           LIMIT 1001) largest;
  -- The row is locked only now: questions never wait for the sum.
  UPDATE usage_leaders SET users = l.users, made_at = now() WHERE first_day = l.first_day AND end_day = l.end_day;
  RETURN TRUE;
END
$$;
