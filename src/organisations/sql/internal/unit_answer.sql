-- A unit as operations return it.
CREATE OR REPLACE FUNCTION unit_answer(p_account varchar, p_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('outcome', 'ok', 'id', id, 'name', name, 'parentId', parent_id, 'path', path,
                              'createdAt', created_at)
      FROM units WHERE account_id = p_account AND id = p_id);
END
$$;
