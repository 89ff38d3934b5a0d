-- The periods of a budget, the newest first, each with its newest 20 raises and how many it has; with p_member only those
-- that the member may see.
CREATE OR REPLACE FUNCTION budget_periods_list(p_account varchar, p_id bigint, p_member varchar, p_before bigint, p_limit integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object(
             'id', p.id, 'memberId', nullif(p.user_id, ''),
             'startsAt', CASE WHEN isfinite(p.starts_at) THEN iso_time(p.starts_at) END,
             'endsAt', CASE WHEN isfinite(p.ends_at) THEN iso_time(p.ends_at) END,
             'countsFrom', iso_time(greatest(p.starts_at, (SELECT created_at FROM budgets WHERE account_id = p_account AND id = p_id))), 'used', p.used, 'held', p.held,
             'totalRaises', (SELECT count(*) FROM budget_raises r WHERE r.account_id = p_account AND r.period_id = p.id),
             'raises', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                 'amount', r.amount, 'until', iso_time(r.until), 'reason', r.reason, 'madeBy', r.made_by,
                                 'madeAt', iso_time(r.made_at)) ORDER BY r.made_at DESC, r.id DESC), '[]')
                          FROM (SELECT * FROM budget_raises WHERE account_id = p_account AND period_id = p.id
                                 ORDER BY made_at DESC, id DESC LIMIT 20) r)) ORDER BY p.starts_at DESC, p.id DESC), '[]')
      FROM (SELECT * FROM budget_periods
             WHERE account_id = p_account AND budget_id = p_id AND (p_before IS NULL OR (starts_at, id) < (SELECT starts_at, id FROM budget_periods WHERE account_id = p_account AND id = p_before))
               AND (p_member IS NULL OR user_id IN ('', p_member))
             ORDER BY starts_at DESC, id DESC LIMIT p_limit) p);
END
$$;
