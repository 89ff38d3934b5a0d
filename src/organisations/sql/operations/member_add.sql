-- Adds a user to an organisation, of at most 100,000 members; the user need not be known. Only owners and supervisors
-- make owners.
-- Outcomes: ok (the member), not_found, role_required, archived, already_member, unit_not_found, too_many_members,
-- idempotency_mismatch.
CREATE OR REPLACE FUNCTION member_add(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  c_most CONSTANT integer := 100000;
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  p_user varchar := p ->> 'userId';
  p_role varchar := p ->> 'role';
  p_unit bigint := p ->> 'unitId';
  v_access record;
  v_answer jsonb;
  m members;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises,userId,role,unitId,"Idempotency-Key"}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL,
    is_user_id(p_user),
    p_role IN ('owner', 'admin', 'billing', 'member'),
    coalesce(p_unit > 0, TRUE),
    is_idempotency(p)]);
  v_access := organisation_enter(p_account, p_actor, p_supervises, '{owner,admin,supervisor}');
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF p_role = 'owner' AND v_access.role = 'admin' THEN RETURN '{"outcome": "role_required"}'; END IF;
  IF EXISTS (SELECT FROM members WHERE account_id = p_account AND user_id = p_user) THEN
    RETURN '{"outcome": "already_member"}';
  END IF;
  IF p_unit IS NOT NULL AND NOT unit_exists(p_account, p_unit) THEN RETURN '{"outcome": "unit_not_found"}'; END IF;
  IF (SELECT count(*) FROM members WHERE account_id = p_account) >= c_most THEN
    RETURN '{"outcome": "too_many_members"}';
  END IF;
  INSERT INTO members (account_id, user_id, role, unit_id, added_by)
  VALUES (p_account, p_user, p_role, p_unit, p_actor) RETURNING * INTO m;
  PERFORM member_event(m, 'added');
  PERFORM write_activity(p, p_account, 'member.added', p_user, NULL, member_answer(m));
  RETURN keep_answer(p, member_answer(m));
END
$$;
