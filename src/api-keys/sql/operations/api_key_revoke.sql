-- Ends an API key at once: any, or with userId only that user's. Again it changes nothing, but its gateway is asked anew.
-- Outcomes: ok (the key), not_found.
CREATE OR REPLACE FUNCTION api_key_revoke(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id bigint := p ->> 'id';
  p_user varchar := p ->> 'userId';
  v_now timestamptz := clock_timestamp();
  k record;
  v_facts jsonb;
BEGIN
  PERFORM refuse('{accountId,id,userId}', ARRAY[
    is_account_id(p_account), p_id > 0, p_user IS NULL OR is_user_id(p_user)]);
  UPDATE api_keys
     SET is_active = FALSE, revoked_at = coalesce(revoked_at, v_now),
         gateway_state = CASE WHEN gateway_state = 'pending' THEN 'failed'
                              WHEN gateway_state IN ('opening', 'live') THEN 'ending' ELSE gateway_state END,
         gateway_due_at = CASE WHEN gateway_state <> 'ended' THEN v_now END, gateway_attempts = 0
   WHERE account_id = p_account AND id = p_id AND (p_user IS NULL OR user_id = p_user)
  RETURNING name, key_hint, revoked_at = v_now AS was_active INTO k;
  IF NOT FOUND THEN RETURN '{"outcome": "not_found"}'; END IF;
  IF k.was_active THEN
    v_facts := jsonb_build_object('name', k.name, 'keyHint', k.key_hint);
    PERFORM write_activity(p, p_account, 'api_key.revoked', p_id::text, v_facts || '{"isActive": true}', v_facts || '{"isActive": false}');
  END IF;
  RETURN api_key_answer(p_account, p_id);
END
$$;
