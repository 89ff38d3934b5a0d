-- Adds what a hold, or its growth, reserves to the rows of the periods of its call. p_calls: 1 for a hold, whose request and
-- session are held as well. Nothing is used by it, so no event is due. The caller has found the rows under the account's lock
-- and changed none of them since. Their places save a search that walks every version of a row that a batch has written: a
-- quarter of what budgets cost a hold. With other plans than the generic one most of its time would be planning.
CREATE OR REPLACE FUNCTION hold_budgets(p_account varchar, p_rows tid[], p_credits bigint, p_tokens bigint, p_calls integer)
RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_count bigint;
BEGIN
  UPDATE budget_periods
     SET held = held + CASE unit WHEN 'credits' THEN p_credits WHEN 'tokens' THEN p_tokens ELSE p_calls END,
         open_sessions = open_sessions + p_calls
   WHERE account_id = p_account AND ctid = ANY (p_rows);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  IF v_count <> cardinality(p_rows) THEN RAISE 'a period of % has changed since it was found', p_account; END IF;
END
$$;
