-- How many credits may still be spent with an API key: its line's limit less what is spent and held. NULL: no limit.
-- The caller holds the owner's balance row, under which all of this changes.
-- A key that the user does not have is refused.
CREATE OR REPLACE FUNCTION api_key_room(p_account varchar, p_key bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  -- greatest() would make 0 of no limit.
  SELECT CASE WHEN b.credit_limit IS NOT NULL THEN greatest(b.credit_limit - b.credits_used - b.credits_held, 0)
              WHEN b.id IS NULL THEN refuse('{apiKeyId}', ARRAY[b.id IS NOT NULL])::integer END
    FROM (SELECT p_key AS id) asked
    LEFT JOIN api_keys k ON k.account_id = p_account AND k.id = asked.id
    LEFT JOIN api_keys b ON b.account_id = k.account_id AND b.id = coalesce(k.budget_key_id, k.id)
   WHERE p_key IS NOT NULL
$$;
