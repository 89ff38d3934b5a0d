-- Where a user spends from in an organisation: the ids of their unit and of those above it, the top one first; empty in none.
-- NULL: not a member, or the organisation is archived. From a personal account only its user spends.
CREATE OR REPLACE FUNCTION member_path(p_account varchar, p_user varchar) RETURNS bigint[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_path bigint[];
BEGIN
  SELECT coalesce(u.path, '{}') INTO v_path
    FROM members m
    JOIN organisations o ON o.account_id = m.account_id AND o.archived_at IS NULL
    LEFT JOIN units u ON u.account_id = m.account_id AND u.id = m.unit_id
   WHERE m.account_id = p_account AND m.user_id = p_user;
  RETURN v_path;
END
$$;
