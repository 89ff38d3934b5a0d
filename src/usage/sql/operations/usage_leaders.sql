-- The p_top users with the most credits of a range, told by the board of its closed days: [[userId, credits], …], or NULL
-- when there is no board or it cannot tell. What a board says of a user holds unless a correction of theirs waits to be
-- added to the totals; they are added up anew, if they can come that far at all. The range has whole days from p_first_day
-- to before p_end_day, and what p_from and p_to break off of the days beside them.
CREATE OR REPLACE FUNCTION usage_leaders(
  p_from timestamptz, p_to timestamptz, p_first_day date, p_end_day date, p_top integer
) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
-- Whether few or many are added up anew decides how: planned for the values of each call, and without the disk.
SET plan_cache_mode = force_custom_plan SET work_mem = '16MB' AS $$
DECLARE
  v_end date := least(p_end_day, (SELECT closed_until FROM usage_closing));
  v_board usage_boards;
  v_users varchar[];
  v_credits numeric[];
  v_unknown varchar[];
BEGIN
  SELECT * INTO v_board FROM usage_boards WHERE from_day = p_first_day AND end_day = v_end;
  IF NOT FOUND THEN RETURN NULL; END IF;
  -- The first question of a day goes to usage_board, which notes it; not where nothing can be noted.
  IF v_board.asked_on < (now() AT TIME ZONE 'UTC')::date AND NOT current_setting('transaction_read_only')::boolean THEN
    RETURN NULL;
  END IF;
  IF EXISTS (SELECT FROM usage_corrections WHERE account_id IS NULL AND day >= p_first_day AND day < v_end) THEN
    RETURN NULL;
  END IF;

  -- Who may be a leader, with what is known of their credits; v_unknown of them lack those of the closed days.
  WITH part AS (
    SELECT account_id, credits AS listed, NULL::numeric AS changed, NULL::numeric AS open
      FROM unnest(v_board.users, v_board.credits) AS l (account_id, credits)
    UNION ALL
    SELECT account_id, NULL, greatest(credits, 0), NULL
      FROM usage_corrections WHERE day >= p_first_day AND day < v_end
    UNION ALL
    SELECT account_id, NULL, NULL, credits
      FROM usage_daily WHERE day >= greatest(p_first_day, v_end) AND day < p_end_day AND records > 0
    UNION ALL
    SELECT account_id, NULL, NULL, credits
      FROM usage_records
     WHERE timestamp >= p_from AND timestamp < least(p_first_day::timestamp AT TIME ZONE 'UTC', p_to)
    UNION ALL
    SELECT account_id, NULL, NULL, credits
      FROM usage_records
     WHERE timestamp < p_to AND timestamp >= p_end_day::timestamp AT TIME ZONE 'UTC' AND p_end_day >= p_first_day
  ), candidate AS MATERIALIZED (
    -- most: no more than this, and exactly this if is_known. No leader has less than the last of p_top who are known.
    SELECT account_id, coalesce(sum(open), 0) AS open, count(listed) > 0 AND count(changed) = 0 AS is_known,
           coalesce(sum(listed), v_board.floor_credits) + coalesce(sum(changed), 0) + coalesce(sum(open), 0) AS most
      FROM part GROUP BY account_id
  )
  SELECT array_agg(account_id), array_agg(CASE WHEN is_known THEN most ELSE open END),
         array_agg(account_id) FILTER (WHERE NOT is_known)
    INTO v_users, v_credits, v_unknown
    FROM candidate
   WHERE most >= coalesce(
     (SELECT most FROM candidate WHERE is_known ORDER BY most DESC OFFSET p_top - 1 LIMIT 1), 0);

  RETURN (
    WITH leader AS (
      SELECT account_id, sum(credits) AS credits FROM (
        SELECT account_id, credits FROM unnest(v_users, v_credits) AS u (account_id, credits)
        UNION ALL
        SELECT account_id, credits FROM usage_daily
         WHERE account_id = ANY (v_unknown) AND day >= p_first_day AND day < v_end) part
       GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT p_top
    )
    -- Everyone else comes after the floor: the last leader must not.
    SELECT CASE WHEN v_board.floor_user IS NULL
                  OR count(*) = p_top
                 AND bool_and((-credits, account_id) <= (-v_board.floor_credits, v_board.floor_user))
                THEN jsonb_agg(jsonb_build_array(account_id, credits) ORDER BY credits DESC, account_id) END
      FROM leader);
END
$$;
