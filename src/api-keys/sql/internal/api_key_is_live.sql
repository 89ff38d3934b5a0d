-- Whether an API key works now, by the database's clock; NULL for none of that id.
CREATE OR REPLACE FUNCTION api_key_is_live(p_user varchar, p_id bigint) RETURNS boolean
LANGUAGE sql AS $$
  SELECT is_active AND coalesce(expires_at > clock_timestamp(), TRUE) AND coalesce(gateway_state, 'live') = 'live'
    FROM api_keys WHERE user_id = p_user AND id = p_id
$$;
