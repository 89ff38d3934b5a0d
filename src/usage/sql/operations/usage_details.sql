-- A usage record and what explains it: what each of its classes cost and their exact sum, which was rounded once, by the rule
-- that priced it, which never changes; the ledger's entries for it, the budgets that it counted in, and its session. NULL:
-- there is none, or p_user may not see it: that of another account, unless it is an organisation where the user oversees
-- usage, or has spent it as a member. Without a user, anyone's; with p_account, that account's only.
CREATE OR REPLACE FUNCTION usage_details(p_id bigint, p_user varchar, p_account varchar) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  c_most_read CONSTANT integer := 20000;
  c_most_shown CONSTANT integer := 200;
  r usage_records;
  s streaming_sessions;
  v_amounts jsonb;
  v_after bigint;
  v_last bigint;
  v_entries json;
  v_has_all boolean;
  v_budgets json;
BEGIN
  SELECT * INTO r FROM usage_records WHERE id = p_id AND (p_account IS NULL OR account_id = p_account);
  IF NOT FOUND OR p_user <> r.account_id AND NOT EXISTS (
       SELECT FROM members WHERE account_id = r.account_id AND user_id = p_user AND (role <> 'member' OR r.user_id = p_user)) THEN
    RETURN NULL;
  END IF;
  IF r.pricing_rule_id IS NOT NULL AND r.quantities IS NOT NULL THEN
    v_amounts := (price_call(components_of(r.pricing_rule_id), r.quantities, r.service_tier, TRUE)).amounts;
  END IF;
  IF r.session_id IS NOT NULL THEN
    SELECT * INTO s FROM streaming_sessions
     WHERE account_id = r.account_id AND user_id = r.user_id AND session_id = r.session_id;
  END IF;
  -- The ledger has no index for this, which every movement would pay for: its entries are in the order of time.
  v_after := ledger_before(r.account_id, coalesce(s.started_at, r.timestamp) - interval '1 minute');
  SELECT id INTO v_last FROM credit_ledger
   WHERE account_id = r.account_id AND id > v_after ORDER BY id OFFSET c_most_read - 1 LIMIT 1;
  SELECT coalesce(json_agg(json_build_object(
           'kind', kind, 'credits', credits, 'allocationId', allocation_id, 'actor', actor,
           'createdAt', iso_time(created_at)) ORDER BY id) FILTER (WHERE nth <= c_most_shown), '[]'),
         v_last IS NULL AND count(*) <= c_most_shown INTO v_entries, v_has_all
    FROM (SELECT *, row_number() OVER (ORDER BY id DESC) AS nth FROM credit_ledger
           WHERE account_id = r.account_id AND id > v_after AND (v_last IS NULL OR id <= v_last)
             AND (usage_id = r.id OR usage_id IS NULL AND session_id = s.session_id AND user_id = s.user_id)) e;
  SELECT coalesce(json_agg(json_build_object(
           'id', b.id, 'scope', b.scope, 'scopeId', b.scope_id, 'unit', b.unit, 'mode', b.mode, 'amount', b.amount,
           'window', CASE WHEN b.unit <> 'sessions' THEN b.time_window END,
           'startsAt', CASE WHEN isfinite(p.starts_at) THEN iso_time(p.starts_at) END,
           'endsAt', CASE WHEN isfinite(p.ends_at) THEN iso_time(p.ends_at) END) ORDER BY b.id), '[]') INTO v_budgets
    FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
   WHERE p.account_id = r.account_id AND p.id = ANY (r.periods);
  RETURN json_build_object(
    'record', usage_json(r), 'classes', v_amounts,
    'exactCredits', (SELECT trim_scale(coalesce(sum((a ->> 'credits')::numeric), 0))::text
                       FROM jsonb_array_elements(v_amounts) a HAVING v_amounts IS NOT NULL),
    'entries', v_entries, 'hasAllEntries', v_has_all, 'budgets', v_budgets,
    'session', CASE WHEN s.account_id IS NOT NULL THEN json_build_object(
      'startedAt', iso_time(s.started_at), 'estimatedCredits', s.estimated_credits, 'firstHold', s.first_hold,
      'heldCredits', s.allocated_credits, 'tokensGenerated', s.tokens_generated, 'endReason', s.end_reason,
      'isLate', s.is_late, 'completedAt', iso_time(s.completed_at)) END);
END
$$;
