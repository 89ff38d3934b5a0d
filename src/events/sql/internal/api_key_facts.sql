-- What events contain of an API key; never the key.
CREATE OR REPLACE FUNCTION api_key_facts(p_id bigint, p_name varchar, p_hint varchar, p_expires_at timestamptz)
RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('keyId', p_id, 'name', p_name, 'keyHint', p_hint, 'expiresAt', iso_time(p_expires_at))
$$;
