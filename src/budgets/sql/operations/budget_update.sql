-- Changes what changes has of a budget: amount, mode, alerts. An amount below what is used and held breaks nothing: only
-- nothing more fits. Outcomes: ok (the budget), not_found, set_by_platform, key_limit.
CREATE OR REPLACE FUNCTION budget_update(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id bigint := p ->> 'id';
  p_changes jsonb := p -> 'changes';
  p_amount bigint := p_changes ->> 'amount';
  p_mode varchar := p_changes ->> 'mode';
  p_alerts smallint[] := CASE WHEN jsonb_typeof(p_changes -> 'alerts') = 'array'
                              THEN ARRAY(SELECT jsonb_array_elements_text(p_changes -> 'alerts')::smallint) END;
  v_now timestamptz := budget_lock(p_account);
  v_refusal jsonb;
  v_before budgets;
  b budgets;
BEGIN
  PERFORM refuse('{accountId,id,changes,amount,mode,alerts,isPlatform}', ARRAY[
    is_account_id(p_account),
    p_id > 0,
    jsonb_typeof(p_changes) = 'object',
    coalesce(p_amount BETWEEN 0 AND 1000000000000, TRUE),
    coalesce(p_mode IN ('hard', 'soft'), TRUE),
    coalesce(cardinality(p_alerts) <= 10 AND NOT 0 >= ANY (p_alerts) AND NOT 100 < ANY (p_alerts), NOT p_changes ? 'alerts'),
    p ->> 'isPlatform' IS NOT NULL]);
  SELECT * INTO b FROM budgets WHERE account_id = p_account AND id = p_id;
  v_refusal := budget_refusal_of(b, (p ->> 'isPlatform')::boolean);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  PERFORM budget_raises_ended(p_account, p_id);
  v_before := b;
  UPDATE budgets
     SET amount = coalesce(p_amount, amount), mode = coalesce(p_mode, mode), alerts = coalesce(p_alerts, alerts)
   WHERE account_id = p_account AND id = p_id
  RETURNING * INTO b;
  PERFORM budget_changed(p_account, p_id, NULL, v_before.amount - b.amount);
  PERFORM write_activity(p, p_account, 'budget.changed', p_id::text, budget_json(v_before, NULL), budget_json(b, NULL));
  RETURN jsonb_build_object('outcome', 'ok', 'budget', budget_json(b, NULL));
END
$$;
