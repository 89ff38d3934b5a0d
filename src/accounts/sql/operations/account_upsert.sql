-- Creates or updates the account of a valid token's claims. The token is the truth: when another user's row still
-- holds the e-mail, that row is stale and loses the e-mail, so it locks no one out.
CREATE OR REPLACE FUNCTION account_upsert(p_user varchar, p_email varchar, p_username varchar, p_role varchar)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_now timestamptz := now();
  v_stale varchar;
BEGIN
  PERFORM refuse('{userId,email,username,role}', ARRAY[
    is_user_id(p_user),
    char_length(p_email) BETWEEN 1 AND 255,
    char_length(p_username) BETWEEN 1 AND 100,
    char_length(p_role) BETWEEN 1 AND 50]);
  FOR attempt IN 1..5 LOOP
    BEGIN
      INSERT INTO user_accounts AS a (user_id, email, username, role)
      VALUES (p_user, p_email, p_username, p_role)
      ON CONFLICT (user_id) DO UPDATE
        SET email = excluded.email, username = excluded.username, role = excluded.role, updated_at = v_now
        WHERE (a.email, a.username, a.role) IS DISTINCT FROM (excluded.email, excluded.username, excluded.role);
      INSERT INTO credit_balances (account_id) VALUES (p_user) ON CONFLICT (account_id) DO NOTHING;
      RETURN;
    EXCEPTION WHEN unique_violation THEN
      -- The .invalid domain is reserved (RFC 2606): no real address is taken by this; the UUID keeps anyone from
      -- standing in the way with a made-up one.
      v_stale := gen_random_uuid() || '@superseded.invalid';
      UPDATE user_accounts SET email = v_stale, updated_at = v_now
       WHERE email = p_email AND user_id <> p_user;
    END;
  END LOOP;
  RAISE EXCEPTION 'account % could not be written: its e-mail is claimed by others at the same time', p_user
    USING ERRCODE = 'serialization_failure';
END
$$;
