-- Changes of a member what changes has: role, unitId (null: in none). Only owners and supervisors make or change owners.
-- Outcomes: ok (the member), not_found, role_required, archived, member_not_found, owner_required, unit_not_found.
CREATE OR REPLACE FUNCTION member_change(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  p_user varchar := p ->> 'userId';
  p_changes jsonb := p -> 'changes';
  v_role varchar := p_changes ->> 'role';
  v_unit bigint := p_changes ->> 'unitId';
  v_access record;
  v_before jsonb;
  m members;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises,userId,changes,role,unitId}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL,
    is_user_id(p_user),
    jsonb_typeof(p_changes) = 'object',
    coalesce(v_role IN ('owner', 'admin', 'billing', 'member'), NOT p_changes ? 'role'),
    coalesce(v_unit > 0, TRUE)]);
  v_access := organisation_enter(p_account, p_actor, p_supervises, '{owner,admin,supervisor}');
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  SELECT * INTO m FROM members WHERE account_id = p_account AND user_id = p_user;
  IF NOT FOUND THEN RETURN '{"outcome": "member_not_found"}'; END IF;
  v_role := coalesce(v_role, m.role);
  IF NOT p_changes ? 'unitId' THEN v_unit := m.unit_id; END IF;
  IF 'owner' IN (m.role, v_role) AND v_access.role = 'admin' THEN RETURN '{"outcome": "role_required"}'; END IF;
  IF v_role <> 'owner' AND member_is_last_owner(p_account, p_user) THEN RETURN '{"outcome": "owner_required"}'; END IF;
  IF v_unit IS NOT NULL AND NOT unit_exists(p_account, v_unit) THEN RETURN '{"outcome": "unit_not_found"}'; END IF;
  IF (v_role, v_unit) IS DISTINCT FROM (m.role::varchar, m.unit_id) THEN
    v_before := member_answer(m);
    UPDATE members SET role = v_role, unit_id = v_unit WHERE account_id = p_account AND user_id = p_user
    RETURNING * INTO m;
    PERFORM member_event(m, 'changed');
    PERFORM write_activity(p, p_account, 'member.changed', p_user, v_before, member_answer(m));
  END IF;
  RETURN member_answer(m);
END
$$;
