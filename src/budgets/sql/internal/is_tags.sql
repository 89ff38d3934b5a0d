-- Whether a value may be the tags of a call: at most 10, each with a name of letters, digits and _.- and a text as its value.
CREATE OR REPLACE FUNCTION is_tags(p_tags jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_typeof(p_tags) = 'object' AND coalesce((
    SELECT count(*) <= 10 AND bool_and(key ~ '^[A-Za-z0-9_.-]{1,50}$' AND jsonb_typeof(value) = 'string' AND is_id(value #>> '{}', 100))
      FROM jsonb_each(CASE jsonb_typeof(p_tags) WHEN 'object' THEN p_tags ELSE '{}' END)), TRUE)
$$;
