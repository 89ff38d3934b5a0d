-- What budgets a call counts for, as they are looked up by applies_to.
CREATE OR REPLACE FUNCTION budget_scopes(
  p_user varchar, p_path bigint[], p_line bigint, p_model varchar, p_tags jsonb
) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ARRAY['account', 'each_member', 'member:' || p_user, 'key:' || p_line, 'model:' || p_model]
         || CASE WHEN p_path <> '{}' THEN ARRAY(SELECT 'unit:' || id FROM unnest(p_path) id) END
         || CASE WHEN p_tags IS NOT NULL THEN ARRAY(SELECT 'tag:' || key || '=' || value FROM jsonb_each_text(p_tags)) END
$$;
