-- The list of the accounts with the most credits in these whole UTC days, as {users: [[accountId, credits], …], asOf}.
-- asOf is null as long as the list has not been made. Notes the first question for a list, and the first after it was
-- made: usage_make_leaders makes what was asked for. A replica can note nothing.
CREATE OR REPLACE FUNCTION usage_leaders(p_first_day date, p_end_day date) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  l usage_leaders;
BEGIN
  SELECT * INTO l FROM usage_leaders WHERE first_day = p_first_day AND end_day = p_end_day;
  IF (l.first_day IS NULL OR l.asked_at <= l.made_at) AND NOT current_setting('transaction_read_only')::boolean THEN
    INSERT INTO usage_leaders (first_day, end_day) VALUES (p_first_day, p_end_day)
    ON CONFLICT (first_day, end_day) DO UPDATE SET asked_at = excluded.asked_at;
  END IF;
  RETURN jsonb_build_object('users', coalesce(l.users, '[]'), 'asOf', l.made_at);
END
$$;
