-- A budget as the API returns it, with its period at this moment; for a budget of each member, that of p_member.
CREATE OR REPLACE FUNCTION budget_json(b budgets, p_member varchar) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_member varchar := CASE WHEN b.scope = 'each_member' THEN p_member ELSE '' END;
  p budget_periods;
  v_limit bigint;
BEGIN
  SELECT * INTO p FROM budget_periods
   WHERE account_id = b.account_id AND budget_id = b.id AND user_id = v_member AND starts_at <= v_now
   ORDER BY starts_at DESC LIMIT 1;
  IF p.ends_at > v_now IS NOT TRUE THEN
    p := NULL;
    SELECT starts_at, ends_at INTO p.starts_at, p.ends_at
      FROM budget_period(b.time_window, b.time_zone, b.anchor_day, v_now);
  END IF;
  v_limit := b.amount + CASE WHEN p.raised_until <= v_now THEN budget_raised(b.account_id, p.id, v_now) ELSE coalesce(p.raised, 0) END;
  RETURN jsonb_build_object(
    'id', b.id, 'accountId', b.account_id, 'scope', b.scope, 'scopeId', b.scope_id, 'unit', b.unit,
    'window', CASE WHEN b.unit <> 'sessions' THEN b.time_window END, 'timeZone', b.time_zone, 'anchorDay', b.anchor_day,
    'amount', b.amount, 'mode', b.mode, 'alerts', b.alerts, 'setBy', b.set_by, 'isKeyLimit', b.is_key_limit,
    'createdBy', b.created_by, 'createdAt', iso_time(b.created_at))
    || CASE WHEN v_member IS NULL THEN '{"limit": null, "used": null, "held": null, "left": null}'::jsonb
       ELSE jsonb_build_object(
         'limit', v_limit, 'used', coalesce(p.used, 0), 'held', coalesce(p.held, 0),
         'left', greatest(v_limit - coalesce(p.used, 0) - coalesce(p.held, 0), 0 * v_limit)) END
    || jsonb_build_object(
      'startsAt', CASE WHEN isfinite(p.starts_at) THEN iso_time(p.starts_at) END,
      'resetsAt', CASE WHEN isfinite(p.ends_at) THEN iso_time(p.ends_at) END,
      'countsFrom', iso_time(greatest(p.starts_at, b.created_at)));
END
$$;
