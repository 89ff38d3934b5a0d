-- An organisation as operations return it.
CREATE OR REPLACE FUNCTION organisation_answer(p_account varchar) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_build_object('outcome', 'ok', 'accountId', account_id, 'name', name, 'createdAt', created_at,
                              'archivedAt', archived_at)
      FROM organisations WHERE account_id = p_account);
END
$$;
