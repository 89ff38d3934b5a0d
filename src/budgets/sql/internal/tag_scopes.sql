-- The same of a call's tags.
CREATE OR REPLACE FUNCTION tag_scopes(p_tags jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT array_agg('tag:' || key || '=' || value) FROM jsonb_each_text(p_tags)
$$;
