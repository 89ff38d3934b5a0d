-- Changes to one user's API keys come one after the other. Nothing that moves credits waits for this.
CREATE OR REPLACE FUNCTION api_key_lock(p_account varchar) RETURNS void
LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(hashtextextended('api-keys:' || p_account, 0))
$$;
