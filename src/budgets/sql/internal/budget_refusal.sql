-- What a call is answered that does not fit: its outcome (insufficient, budget_exceeded for credits, limit_exceeded for
-- tokens, requests and sessions), every limit in its way, and after how many seconds waiting may help. NULL: it fits after
-- all, because sessions whose lease has ended free their places before the sweeper has settled them. Emits limit.reached at
-- the first refusal of a period, and budget.exhausted where a raise has ended.
CREATE OR REPLACE FUNCTION budget_refusal(p_lock account_lock, p_budgets call_budgets, p_need call_amounts) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v_limits jsonb;
  v_reached bigint[];
  v_is_money boolean;
  v_is_due boolean;
  v_wait timestamptz;
BEGIN
  WITH candidates AS (
    SELECT b.id, b.scope, b.scope_id, b.unit, b.time_window, b.amount, p.id AS period_id, p.used, p.ends_at, p.is_reached,
           p.is_exhausted,
           b.amount + p.raised AS most,
           -- Of the places whose lease has ended, no more are counted than make it fit.
           p.held - CASE WHEN b.unit = 'sessions' THEN (
             SELECT count(*) FROM (
               SELECT FROM session_places s
                WHERE s.account_id = p_lock.account_id AND s.period_id = p.id AND s.expires_at <= p_lock.locked_at
                ORDER BY s.expires_at LIMIT greatest(p.held + p_need.sessions - b.amount - p.raised, 0)) lapsed) ELSE 0 END AS held,
           CASE b.unit WHEN 'credits' THEN p_need.credits WHEN 'tokens' THEN p_need.tokens
                     WHEN 'requests' THEN p_need.requests ELSE p_need.sessions END AS need,
           CASE WHEN b.unit = 'sessions' THEN (
             SELECT s.expires_at FROM session_places s
              WHERE s.account_id = p_lock.account_id AND s.period_id = p.id AND s.expires_at > p_lock.locked_at
              ORDER BY s.expires_at LIMIT 1) ELSE p.ends_at END AS frees_at
      FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
     WHERE p.account_id = p_lock.account_id AND p.id = ANY (p_budgets.periods) AND b.mode = 'hard' AND b.amount IS NOT NULL
       AND b.deleted_at IS NULL
  )
  SELECT jsonb_agg(jsonb_build_object(
           'budgetId', id, 'scope', scope, 'scopeId', scope_id, 'unit', unit, 'window', time_window, 'limit', most,
           'used', used, 'held', held, 'resetsAt', CASE WHEN isfinite(ends_at) THEN iso_time(ends_at) END) ORDER BY id),
         array_agg(period_id) FILTER (WHERE NOT is_reached), bool_or(unit = 'credits'),
         bool_or(used >= most AND NOT is_exhausted),
         -- A call that is larger than a limit never fits it, and a raise ends with its period.
         CASE WHEN bool_and(need <= CASE unit WHEN 'sessions' THEN most ELSE amount END) THEN max(frees_at) END
    INTO v_limits, v_reached, v_is_money, v_is_due, v_wait
    FROM candidates WHERE need > 0 AND used + held + need > most;
  IF v_limits IS NULL AND p_need.credits <= p_lock.available THEN RETURN NULL; END IF;
  IF v_reached IS NOT NULL THEN
    UPDATE budget_periods SET is_reached = TRUE WHERE account_id = p_lock.account_id AND id = ANY (v_reached);
    PERFORM emit_budget_event(p_lock.account_id, reached, 'limit.reached', NULL) FROM unnest(v_reached) reached;
  END IF;
  IF v_is_due THEN PERFORM budget_alerts(p_lock.account_id, p_budgets.periods); END IF;
  RETURN jsonb_build_object(
    'outcome', CASE WHEN p_need.credits > p_lock.available THEN 'insufficient'
                    WHEN v_is_money THEN 'budget_exceeded' ELSE 'limit_exceeded' END,
    'requiredCredits', p_need.credits,
    'availableCredits', CASE WHEN p_need.credits > p_lock.available THEN p_lock.available
                             ELSE greatest(least(p_lock.available, p_budgets.credits), 0) END,
    'limits', coalesce(v_limits, '[]'),
    'retryAfterSeconds', CASE WHEN isfinite(v_wait) THEN ceil(extract(epoch FROM v_wait - p_lock.locked_at)) END);
END
$$;
