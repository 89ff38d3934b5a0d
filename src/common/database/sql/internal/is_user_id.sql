-- Whether a text may be a user's id: none of a service or an organisation, nothing invisible. As userIdProblem in src/common/http/text.ts.
CREATE OR REPLACE FUNCTION is_user_id(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT is_id(p_text, 50) AND lower(p_text) NOT IN ('all', 'mine', '.', '..') AND p_text !~ '^(service|org):'
     AND p_text !~ '[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164]'
     AND p_text !~ '[\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]'
$$;
