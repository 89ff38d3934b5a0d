-- Adds what a call reserves (held) and what it has used to its periods; either may be negative. A session is held while it is
-- open, and never used. Answers whether one of the periods is of a budget that counts sessions.
CREATE OR REPLACE FUNCTION count_budgets(p_account varchar, p_periods bigint[], p_held call_amounts, p_used call_amounts)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_due bigint[];
  v_counts_sessions boolean;
BEGIN
  WITH counted AS (
    UPDATE budget_periods
       SET held = held + CASE WHEN unit = 'credits' THEN p_held.credits WHEN unit = 'tokens' THEN p_held.tokens
                                   WHEN unit = 'requests' THEN p_held.requests ELSE p_held.sessions END,
           used = used + CASE WHEN unit = 'credits' THEN p_used.credits WHEN unit = 'tokens' THEN p_used.tokens
                                   WHEN unit = 'requests' THEN p_used.requests ELSE p_used.sessions END,
           open_sessions = open_sessions + p_held.sessions
     WHERE account_id = p_account AND id = ANY (p_periods)
    RETURNING id, unit, used >= next_alert OR is_exhausted OR raised_until <= v_now AS is_due
  )
  SELECT array_agg(id) FILTER (WHERE is_due), bool_or(unit = 'sessions') INTO v_due, v_counts_sessions FROM counted;
  IF v_due IS NOT NULL THEN PERFORM budget_alerts(p_account, v_due); END IF;
  RETURN v_counts_sessions;
END
$$;
