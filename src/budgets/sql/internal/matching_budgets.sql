-- The budgets that a call of a user counts for, each with its period at one moment, as far as that has begun. p_path are the
-- ids of the user's unit and of those above it, p_line the first API key of the line that the call is made with. Of budgets
-- for models and tags only those count that the call names. Written so that the planner inlines it.
CREATE OR REPLACE FUNCTION matching_budgets(
  p_account varchar, p_user varchar, p_path bigint[], p_line bigint, p_model varchar, p_tags jsonb, p_at timestamptz
) RETURNS TABLE (
  budget_id bigint, unit varchar, mode varchar, amount bigint, member varchar, period_id bigint, used bigint, held bigint)
LANGUAGE sql STABLE AS $$
  SELECT b.id, b.unit, b.mode, b.amount + CASE WHEN p.has_raises THEN budget_raised(p_account, p.id, p_at) ELSE 0 END,
         CASE WHEN b.scope = 'each_member' THEN p_user ELSE '' END, p.id, coalesce(p.used, 0), coalesce(p.held, 0)
    FROM (SELECT * FROM budgets
           WHERE account_id = p_account AND deleted_at IS NULL
             AND applies_to = ANY (budget_scopes(p_user, p_path, p_line, p_model, p_tags))
          UNION ALL
          SELECT * FROM budgets
           WHERE account_id = p_account AND deleted_at IS NULL AND budgets.scope = 'model' AND applies_to LIKE '%*'
             AND p_model ^@ left(budgets.scope_id, -1)) b
    LEFT JOIN LATERAL (
      SELECT * FROM budget_periods
       WHERE account_id = p_account AND budget_periods.budget_id = b.id
         AND user_id = CASE WHEN b.scope = 'each_member' THEN p_user ELSE '' END AND starts_at <= p_at
       ORDER BY starts_at DESC LIMIT 1) p ON p.ends_at > p_at
$$;
