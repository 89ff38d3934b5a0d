-- Whether a text may be an account's id: a user's id, or that of an organisation.
CREATE OR REPLACE FUNCTION is_account_id(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT is_user_id(CASE WHEN p_text LIKE 'org:_%' THEN substr(p_text, 5) ELSE p_text END) AND char_length(p_text) <= 50
$$;
