-- What the lifetime budget of an API key's line allows (NULL: no limit), and what of it is used and held. p_line is the first
-- key of the line.
CREATE OR REPLACE FUNCTION api_key_budget(
  p_account varchar, p_line bigint, OUT credit_limit bigint, OUT credits_used bigint, OUT credits_held bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  SELECT b.amount, coalesce(p.used, 0), coalesce(p.held, 0) INTO credit_limit, credits_used, credits_held
    FROM budgets b LEFT JOIN budget_periods p ON p.account_id = p_account AND p.budget_id = b.id
   WHERE b.account_id = p_account AND b.applies_to = 'key:' || p_line AND b.is_key_limit;
END
$$;
