-- The budgets of an account, the newest first, each with its period of now: those that are older than p_before, or that of p_id.
-- With p_member only those that calls of this member may count for, and of budgets of each member the member's own.
CREATE OR REPLACE FUNCTION budgets_list(p_account varchar, p_member varchar, p_id bigint, p_before bigint, p_limit integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN (SELECT coalesce(jsonb_agg(budget_json(b, p_member) ORDER BY b.created_at DESC, b.id DESC), '[]')
      FROM (SELECT * FROM budgets
             WHERE account_id = p_account AND deleted_at IS NULL
               AND (p_id IS NULL OR id = p_id) AND (p_before IS NULL OR (created_at, id) < (SELECT created_at, id FROM budgets WHERE account_id = p_account AND id = p_before))
               AND (p_member IS NULL OR scope IN ('account', 'each_member', 'model', 'tag')
                    OR scope = 'member' AND scope_id = p_member
                    OR scope = 'unit' AND scope_id::bigint = ANY (member_path(p_account, p_member))
                    OR scope = 'key' AND EXISTS (SELECT FROM api_keys k WHERE k.account_id = p_account
                                                    AND k.id = scope_id::bigint AND k.user_id = p_member))
             ORDER BY created_at DESC, id DESC LIMIT p_limit) b);
END
$$;
