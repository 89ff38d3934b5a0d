-- What budgets a call counts for, as they are looked up by applies_to; `model:*` has all patterns of models. Written so that
-- the planner inlines it.
CREATE OR REPLACE FUNCTION budget_scopes(
  p_user varchar, p_path bigint[], p_line bigint, p_models varchar[], p_tags jsonb
) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT ARRAY['account', 'each_member', 'member:' || p_user, 'key:' || p_line::text, 'model:*']
         || string_to_array('model:' || array_to_string(p_models, E'\nmodel:'), E'\n')
         || string_to_array('unit:' || array_to_string(p_path, ',unit:'), ',')
         || CASE WHEN p_tags IS NOT NULL THEN tag_scopes(p_tags) END
$$;
