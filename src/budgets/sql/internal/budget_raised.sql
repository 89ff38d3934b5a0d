-- By how much a period's budget is raised at one moment, added up: needed only when a raise has ended.
CREATE OR REPLACE FUNCTION budget_raised(p_account varchar, p_period bigint, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT coalesce(sum(amount), 0)::bigint FROM budget_raises
     WHERE account_id = p_account AND period_id = p_period AND (until IS NULL OR until > p_at));
END
$$;
