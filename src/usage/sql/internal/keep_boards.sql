-- Adds the users up anew who have changed in the days of a board, now that their corrections are in the totals: who comes
-- up to its floor is on it, who does not is not. A board with more changes than are worth it is dropped, and so is one
-- with a change of which the user is not known. The caller holds the lock on usage_closing; p_users[n] changed p_days[n].
CREATE OR REPLACE FUNCTION keep_boards(p_days date[], p_users varchar[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  c_changes CONSTANT integer := 1000;
  v_board usage_boards;
  v_changed varchar[];
BEGIN
  FOR v_board IN SELECT * FROM usage_boards LOOP
    v_changed := ARRAY(SELECT DISTINCT account_id FROM unnest(p_days, p_users) AS c (day, account_id)
                        WHERE day >= v_board.from_day AND day < v_board.end_day);
    CONTINUE WHEN v_changed = '{}';
    IF cardinality(v_changed) > c_changes OR array_position(v_changed, NULL) IS NOT NULL THEN
      DELETE FROM usage_boards WHERE from_day = v_board.from_day AND end_day = v_board.end_day;
      CONTINUE;
    END IF;
    UPDATE usage_boards SET (users, credits) = (
        SELECT coalesce(array_agg(account_id), '{}'), coalesce(array_agg(l.credits), '{}') FROM (
          SELECT account_id, l.credits FROM unnest(v_board.users, v_board.credits) AS l (account_id, credits)
           WHERE account_id <> ALL (v_changed)
          UNION ALL
          SELECT c.account_id, d.credits
            FROM unnest(v_changed) AS c (account_id)
           CROSS JOIN LATERAL (SELECT sum(u.credits) AS credits FROM usage_daily u
                                WHERE u.account_id = c.account_id AND u.day >= v_board.from_day AND u.day < v_board.end_day) d
           WHERE coalesce((-d.credits, c.account_id) <= (-v_board.floor_credits, v_board.floor_user), TRUE)) l)
     WHERE from_day = v_board.from_day AND end_day = v_board.end_day;
  END LOOP;
END
$$;
