-- How many credits may still be spent with an API key: its line's limit less what is spent and held. NULL: no limit.
-- The caller holds the owner's balance row, under which all of this changes.
CREATE OR REPLACE FUNCTION api_key_room(p_user varchar, p_key bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  -- greatest() would make 0 of no limit.
  SELECT CASE WHEN b.credit_limit IS NOT NULL THEN greatest(b.credit_limit - b.credits_used - b.credits_held, 0) END
    FROM api_keys k
    JOIN api_keys b ON b.user_id = k.user_id AND b.id = coalesce(k.budget_key_id, k.id)
   WHERE k.user_id = p_user AND k.id = p_key
$$;
