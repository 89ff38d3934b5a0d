-- Whether an API key works now, by the database's clock; NULL for an unknown id.
CREATE OR REPLACE FUNCTION api_key_is_live(p_account varchar, p_id bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT is_active AND coalesce(expires_at > clock_timestamp(), TRUE) AND coalesce(gateway_state, 'live') = 'live'
      FROM api_keys WHERE account_id = p_account AND id = p_id);
END
$$;
