-- What a trusted service is answered about the API keys with these digests, with what their accounts have available and what
-- budgets leave (room; NULL: no limit). A key that its gateway does not have yet does not exist yet. One after the other,
-- because each lies with its account.
CREATE OR REPLACE FUNCTION api_keys_verify(p_digests varchar[])
RETURNS TABLE (
  key varchar, id bigint, account_id varchar, user_id varchar, permissions text[], expires_at timestamptz, is_expired boolean,
  is_active boolean, available bigint, room bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
BEGIN
  FOR key, account_id, id IN
    SELECT d.key, d.account_id, d.api_key_id FROM api_key_digests d WHERE d.key = ANY (p_digests)
  LOOP
    SELECT k.user_id, k.permissions, k.expires_at, k.expires_at <= now(),
           k.is_active AND (coalesce(k.gateway_state, 'live') = 'live' OR k.expires_at <= now())
      INTO user_id, permissions, expires_at, is_expired, is_active
      FROM api_keys k
     WHERE k.account_id = api_keys_verify.account_id AND k.id = api_keys_verify.id
       AND coalesce(k.gateway_state, 'live') NOT IN ('pending', 'opening');
    CONTINUE WHEN NOT FOUND;
    available := available_credits(account_id);
    room := credits_room(account_id, user_id, id);
    RETURN NEXT;
  END LOOP;
END
$$;
