-- Ends a budget: it limits nothing from now on, and its history stays. Outcomes: ok, not_found, set_by_platform, key_limit.
CREATE OR REPLACE FUNCTION budget_delete(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id bigint := p ->> 'id';
  v_now timestamptz := budget_lock(p_account);
  v_refusal jsonb;
  b budgets;
BEGIN
  PERFORM refuse('{accountId,id,isPlatform}', ARRAY[is_account_id(p_account), p_id > 0, p ->> 'isPlatform' IS NOT NULL]);
  SELECT * INTO b FROM budgets WHERE account_id = p_account AND id = p_id;
  v_refusal := budget_refusal_of(b, (p ->> 'isPlatform')::boolean);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  PERFORM write_activity(p, p_account, 'budget.deleted', p_id::text, budget_json(b, NULL), NULL);
  UPDATE budgets SET deleted_at = v_now WHERE account_id = p_account AND id = p_id;
  RETURN '{"outcome": "ok"}';
END
$$;
