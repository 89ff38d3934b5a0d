-- What an operation on a usage record returns: the record.
CREATE OR REPLACE FUNCTION usage_answer(r usage_records) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT '{"outcome": "ok"}'::jsonb || usage_json(r)::jsonb
$$;
