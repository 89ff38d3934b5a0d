-- Whether a text may be a user's id: none of a service or an organisation, nothing invisible. As userIdProblem in src/common/http/text.ts.
CREATE OR REPLACE FUNCTION is_user_id(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT is_id(p_text, 50) AND lower(p_text) NOT IN ('all', '.', '..') AND p_text !~ '^(service|org):'
     AND p_text !~ '[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]'
$$;
