-- Emits api_key.expiring for the API keys of an account that expire within days, once for each expiry of a key. Answers how
-- many it emitted.
CREATE OR REPLACE FUNCTION events_announce_keys(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_days integer := p ->> 'days';
  v_key record;
  v_emitted integer := 0;
BEGIN
  PERFORM refuse('{accountId,days}', ARRAY[
    is_account_id(p_account),
    p_days BETWEEN 0 AND 36500]);
  FOR v_key IN
    WITH due AS MATERIALIZED (
      SELECT id FROM api_keys
       WHERE account_id = p_account AND is_active AND expiry_announced IS DISTINCT FROM expires_at AND expires_at > now()
         AND expires_at <= now() + make_interval(hours => 24 * p_days) AND coalesce(gateway_state, 'live') = 'live'
       ORDER BY expires_at FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE api_keys k SET expiry_announced = k.expires_at FROM due WHERE k.account_id = p_account AND k.id = due.id
    RETURNING k.id, k.name, k.key_hint, k.expires_at
  LOOP
    PERFORM write_event(p_account, 'api_key.expiring', api_key_facts(v_key.id, v_key.name, v_key.key_hint, v_key.expires_at));
    v_emitted := v_emitted + 1;
  END LOOP;
  RETURN jsonb_build_object('emitted', v_emitted);
END
$$;
