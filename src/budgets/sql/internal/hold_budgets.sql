-- Adds what a hold, or its growth, reserves to the periods of its call. p_calls: 1 for a hold, whose request and session are
-- held as well. Nothing is used by it, so no event is due.
CREATE OR REPLACE FUNCTION hold_budgets(p_account varchar, p_periods bigint[], p_credits bigint, p_tokens bigint, p_calls integer)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE budget_periods
     SET held = held + CASE unit WHEN 'credits' THEN p_credits WHEN 'tokens' THEN p_tokens ELSE p_calls END,
         open_sessions = open_sessions + p_calls
   WHERE account_id = p_account AND id = ANY (p_periods);
END
$$;
