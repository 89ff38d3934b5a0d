-- Whether a text may be a user's id. As userIdProblem in src/common/http/text.ts.
CREATE OR REPLACE FUNCTION is_user_id(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT is_id(p_text, 50) AND lower(p_text) NOT IN ('all', '.', '..') AND NOT starts_with(p_text, 'service:')
$$;
