-- A budget that is there, for a caller who may change it: outcome not_found; set_by_platform where an account's own people would
-- loosen what the platform set; key_limit for that of an API key, which is changed with the key; NULL: go on.
CREATE OR REPLACE FUNCTION budget_refusal_of(b budgets, p_is_platform boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN b.id IS NULL OR b.deleted_at IS NOT NULL THEN '{"outcome": "not_found"}'::jsonb
              WHEN b.set_by = 'platform' AND NOT p_is_platform THEN '{"outcome": "set_by_platform"}'
              WHEN b.is_key_limit THEN '{"outcome": "key_limit"}' END
$$;
