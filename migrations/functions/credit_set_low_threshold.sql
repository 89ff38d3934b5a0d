-- Sets when a user's credits count as low; NULL: as everyone's. Outcomes: ok, user_not_found.
CREATE OR REPLACE FUNCTION credit_set_low_threshold(p_user varchar, p_threshold bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE credit_balances SET low_threshold = p_threshold WHERE user_id = p_user;
  RETURN CASE WHEN FOUND THEN '{"outcome": "ok"}'::jsonb ELSE '{"outcome": "user_not_found"}'::jsonb END;
END
$$;
