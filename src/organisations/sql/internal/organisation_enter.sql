-- Takes the lock of an organisation's account, and returns the role that a user has in it, `supervisor` for those of the
-- platform, and what refuses a change that these roles may make. Refusals: not_found (there is none, or the user is not a
-- member), role_required, archived; NULL: nothing does.
CREATE OR REPLACE FUNCTION organisation_enter(
  p_account varchar, p_actor varchar, p_supervises boolean, p_roles varchar[], OUT role varchar, OUT refusal varchar
)
LANGUAGE plpgsql AS $$
DECLARE
  v_archived_at timestamptz;
BEGIN
  PERFORM FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE;
  SELECT CASE WHEN p_supervises THEN 'supervisor' ELSE m.role END, o.archived_at INTO role, v_archived_at
    FROM organisations o LEFT JOIN members m ON m.account_id = o.account_id AND m.user_id = p_actor
   WHERE o.account_id = p_account;
  refusal := CASE WHEN role IS NULL THEN 'not_found'
                  WHEN role <> ALL (p_roles) THEN 'role_required'
                  WHEN v_archived_at IS NOT NULL THEN 'archived' END;
END
$$;
