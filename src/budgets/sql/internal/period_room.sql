-- How much still fits the hard budgets of given periods, those in which a session began: NULL where none limits. Each period is
-- looked up by its key, as in count_budgets.
CREATE OR REPLACE FUNCTION period_room(p_lock account_lock, p_periods bigint[]) RETURNS call_budgets
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT (p_periods, NULL::tid[], min(room) FILTER (WHERE unit = 'credits'), min(room) FILTER (WHERE unit = 'tokens'), NULL::bigint,
            NULL::bigint, array_agg(period_id) FILTER (WHERE has_ended))::call_budgets
      FROM unnest(p_periods) AS began (period_id)
     CROSS JOIN LATERAL (
       SELECT p.unit, b.amount - p.used - p.held
              + CASE WHEN p.raised_until <= p_lock.locked_at THEN budget_raised(p.account_id, p.id, p_lock.locked_at)
                     ELSE p.raised END AS room,
              p.raised_until <= p_lock.locked_at AS has_ended
         FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
        WHERE p.account_id = p_lock.account_id AND p.id = began.period_id AND b.mode = 'hard' AND b.deleted_at IS NULL
        LIMIT 1) rooms);
END
$$;
