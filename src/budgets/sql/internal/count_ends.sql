-- Counts sessions that have ended in the periods of their calls: what they held is free, and what they used is used. Each
-- period is written once, however many of them count in it. Their places are free.
CREATE OR REPLACE FUNCTION count_ends(p_account varchar, p_ends session_count[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_due bigint[];
  v_counts_sessions boolean;
BEGIN
  WITH counted AS (
    UPDATE budget_periods p
       SET held = held - CASE WHEN unit = 'credits' THEN held_credits WHEN unit = 'tokens' THEN held_tokens ELSE calls END,
           used = used + CASE WHEN unit = 'credits' THEN used_credits WHEN unit = 'tokens' THEN used_tokens
                              WHEN unit = 'requests' THEN calls ELSE 0 END,
           open_sessions = open_sessions - calls
      FROM (SELECT period, sum(held_credits)::bigint AS held_credits, sum(held_tokens)::bigint AS held_tokens,
                   sum(used_credits)::bigint AS used_credits, sum(used_tokens)::bigint AS used_tokens, count(*)::integer AS calls
              FROM unnest(p_ends) CROSS JOIN LATERAL unnest(periods) period GROUP BY period) sums
     WHERE p.account_id = p_account AND p.id = period
       -- So that the rows are found by their key whatever the plan.
       AND p.id = ANY (ARRAY(SELECT unnest(periods) FROM unnest(p_ends)))
    RETURNING id, unit, used >= next_alert OR is_exhausted OR raised_until <= v_now AS is_due
  )
  SELECT array_agg(id) FILTER (WHERE is_due), bool_or(unit = 'sessions') INTO v_due, v_counts_sessions FROM counted;
  IF v_counts_sessions THEN
    DELETE FROM session_places WHERE account_id = p_account AND session = ANY (ARRAY(SELECT session FROM unnest(p_ends)));
  END IF;
  IF v_due IS NOT NULL THEN PERFORM budget_alerts(p_account, v_due); END IF;
END
$$;
