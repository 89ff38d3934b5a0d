-- The API keys that work now, of those with these digests. One after the other, because each lies with its account.
CREATE OR REPLACE FUNCTION api_keys_live(p_digests varchar[])
RETURNS TABLE (key varchar, id bigint, account_id varchar, user_id varchar, permissions text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
BEGIN
  FOR key, account_id, id IN
    SELECT d.key, d.account_id, d.api_key_id FROM api_key_digests d WHERE d.key = ANY (p_digests)
  LOOP
    SELECT k.user_id, k.permissions INTO user_id, permissions FROM api_keys k
     WHERE k.account_id = api_keys_live.account_id AND k.id = api_keys_live.id
       AND k.is_active AND coalesce(k.expires_at > now(), TRUE) AND coalesce(k.gateway_state, 'live') = 'live';
    IF FOUND THEN RETURN NEXT; END IF;
  END LOOP;
END
$$;
