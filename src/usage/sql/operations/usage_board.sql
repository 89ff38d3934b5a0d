-- Makes the board of the closed days of a range, and answers as usage_leaders does; NULL when days are being closed at
-- this moment, or another board is being made. Corrections are added to the totals under the same lock: of those that
-- come after the snapshot of a new board none is added before the board can be kept right.
CREATE OR REPLACE FUNCTION usage_board(
  p_from timestamptz, p_to timestamptz, p_first_day date, p_end_day date, p_top integer
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
-- One at a time, so there may be memory to add everyone up without the disk.
SET work_mem = '32MB' AS $$
DECLARE
  c_boards CONSTANT integer := 50;
  v_today date := (now() AT TIME ZONE 'UTC')::date;
  v_end date;
  v_size integer;
  v_leaders jsonb;
BEGIN
  -- A replica tells what boards it has.
  IF current_setting('transaction_read_only')::boolean THEN RETURN NULL; END IF;
  SELECT least(p_end_day, closed_until) INTO v_end FROM usage_closing;
  IF v_end <= p_first_day THEN RETURN NULL; END IF;
  UPDATE usage_boards SET asked_on = v_today
   WHERE from_day = p_first_day AND end_day = v_end AND asked_on < v_today;
  v_leaders := usage_leaders(p_from, p_to, p_first_day, p_end_day, p_top);
  IF v_leaders IS NOT NULL THEN RETURN v_leaders; END IF;

  SELECT least(p_end_day, closed_until), board_users INTO v_end, v_size
    FROM usage_closing WHERE begins_at <= now() FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN NULL; END IF;
  DELETE FROM usage_boards b
   WHERE from_day = p_first_day AND end_day = v_end
      OR (SELECT count(*) FROM usage_boards o
           WHERE (o.asked_on, o.from_day, o.end_day) > (b.asked_on, b.from_day, b.end_day)) >= c_boards - 1;
  INSERT INTO usage_boards (from_day, end_day, users, credits, floor_credits, floor_user, asked_on)
  SELECT p_first_day, v_end, users, credits,
         CASE WHEN cardinality(users) = v_size THEN credits[v_size] ELSE 0 END, users[v_size], v_today
    FROM (SELECT coalesce(array_agg(account_id ORDER BY credits DESC, account_id), '{}') AS users,
                 coalesce(array_agg(credits ORDER BY credits DESC, account_id), '{}') AS credits
            FROM (SELECT account_id, sum(credits) AS credits FROM usage_daily
                   WHERE day >= p_first_day AND day < v_end AND records > 0
                   GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT v_size) most) board;
  RETURN usage_leaders(p_from, p_to, p_first_day, p_end_day, p_top);
END
$$;
