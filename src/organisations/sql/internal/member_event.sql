-- Emits that a member was added, changed or removed: organisation.member_added and so on.
CREATE OR REPLACE FUNCTION member_event(p_member members, p_change varchar) RETURNS void
LANGUAGE sql AS $$
  SELECT write_event(p_member.account_id, 'organisation.member_' || p_change, jsonb_build_object(
    'userId', p_member.user_id, 'role', p_member.role, 'unitId', p_member.unit_id))
$$;
