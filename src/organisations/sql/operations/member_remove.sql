-- Removes a member, or lets members remove themselves. Only owners and supervisors remove owners. The API keys that the
-- member made in the organisation end with it.
-- Outcomes: ok, not_found, role_required, archived, member_not_found, owner_required.
CREATE OR REPLACE FUNCTION member_remove(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  p_user varchar := p ->> 'userId';
  v_access record;
  m members;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises,userId}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL,
    is_user_id(p_user)]);
  v_access := organisation_enter(p_account, p_actor, p_supervises,
    CASE WHEN p_user = p_actor THEN '{owner,admin,billing,member,supervisor}'::varchar[] ELSE '{owner,admin,supervisor}' END);
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  SELECT * INTO m FROM members WHERE account_id = p_account AND user_id = p_user;
  IF NOT FOUND THEN RETURN '{"outcome": "member_not_found"}'; END IF;
  IF m.role = 'owner' AND v_access.role = 'admin' THEN RETURN '{"outcome": "role_required"}'; END IF;
  IF member_is_last_owner(p_account, p_user) THEN RETURN '{"outcome": "owner_required"}'; END IF;
  DELETE FROM members WHERE account_id = p_account AND user_id = p_user;
  PERFORM organisation_revoke_keys(p_account, p_user);
  PERFORM member_event(m, 'removed');
  PERFORM write_activity(p, p_account, 'member.removed', p_user, member_answer(m), NULL);
  RETURN '{"outcome": "ok"}';
END
$$;
