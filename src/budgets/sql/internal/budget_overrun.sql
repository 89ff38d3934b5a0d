-- By how much a settlement above its hold has exceeded hard budgets: [{budgetId, by}], NULL for none.
CREATE OR REPLACE FUNCTION budget_overrun(p_lock account_lock, p_periods bigint[], p_above call_amounts) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_agg(jsonb_build_object('budgetId', budget_id, 'by', exceeded) ORDER BY budget_id)
      FROM (SELECT b.id AS budget_id,
                   least(p.used + p.held - b.amount - p.raised,
                         CASE b.unit WHEN 'credits' THEN p_above.credits WHEN 'tokens' THEN p_above.tokens ELSE 0 END) AS exceeded
              FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
             WHERE p.account_id = p_lock.account_id AND p.id = ANY (p_periods) AND b.mode = 'hard' AND b.deleted_at IS NULL
               AND b.amount IS NOT NULL) over
     WHERE exceeded > 0);
END
$$;
