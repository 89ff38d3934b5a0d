-- Deletes a unit without members and without units below it, and its budgets with it. A gateway's team that was the unit's is
-- then the whole organisation's (gateway_unit_deleted).
-- Outcomes: ok, not_found, role_required, archived, unit_not_found, not_empty, has_platform_budget (only supervisors may).
CREATE OR REPLACE FUNCTION unit_delete(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  p_id bigint := p ->> 'id';
  v_access record;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises,id}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL,
    p_id > 0]);
  v_access := organisation_enter(p_account, p_actor, p_supervises, '{owner,admin,supervisor}');
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  IF NOT unit_exists(p_account, p_id) THEN RETURN '{"outcome": "unit_not_found"}'; END IF;
  IF EXISTS (SELECT FROM members WHERE account_id = p_account AND unit_id = p_id)
     OR EXISTS (SELECT FROM units WHERE account_id = p_account AND parent_id = p_id) THEN
    RETURN '{"outcome": "not_empty"}';
  END IF;
  IF NOT p_supervises AND EXISTS (
       SELECT FROM budgets WHERE account_id = p_account AND scope = 'unit' AND scope_id = p_id::text AND deleted_at IS NULL
                             AND set_by = 'platform') THEN
    RETURN '{"outcome": "has_platform_budget"}';
  END IF;
  PERFORM write_activity(p, p_account, 'unit.deleted', p_id::text, unit_answer(p_account, p_id), NULL);
  UPDATE budgets SET deleted_at = clock_now()
   WHERE account_id = p_account AND scope = 'unit' AND scope_id = p_id::text AND deleted_at IS NULL;
  DELETE FROM units WHERE account_id = p_account AND id = p_id;
  RETURN '{"outcome": "ok"}';
END
$$;
