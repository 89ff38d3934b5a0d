-- Refuses a call whose arguments are not what the service would send: SQLSTATE 22023, with the name of the first of
-- p_fields whose check is not true as the error's column. Hot operations test first whether all are true.
CREATE OR REPLACE FUNCTION refuse(p_fields text[], p_checks boolean[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  FOR i IN 1 .. cardinality(p_fields) LOOP
    IF p_checks[i] IS NOT TRUE THEN
      RAISE EXCEPTION '% is not valid', p_fields[i] USING ERRCODE = 'invalid_parameter_value', COLUMN = p_fields[i];
    END IF;
  END LOOP;
  RETURN TRUE;
END
$$;
