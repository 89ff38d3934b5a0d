-- A member as operations return it.
CREATE OR REPLACE FUNCTION member_answer(p_member members) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('outcome', 'ok', 'userId', p_member.user_id, 'role', p_member.role,
                            'unitId', p_member.unit_id, 'addedAt', p_member.added_at)
$$;
