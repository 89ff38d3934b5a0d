-- Whether an organisation has this unit.
CREATE OR REPLACE FUNCTION unit_exists(p_account varchar, p_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT EXISTS (SELECT FROM units WHERE account_id = p_account AND id = p_id));
END
$$;
