-- Whether an organisation has this unit, which is then not deleted until the transaction ends.
CREATE OR REPLACE FUNCTION gateway_unit_stays(p_account varchar, p_unit bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM units WHERE account_id = p_account AND id = p_unit FOR KEY SHARE;
  RETURN FOUND;
END
$$;
