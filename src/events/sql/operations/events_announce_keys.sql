-- Emits api_key.expiring for up to p_limit API keys that expire within p_days, once for each expiry of a key.
-- Returns how many.
CREATE OR REPLACE FUNCTION events_announce_keys(p_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_key record;
  v_emitted integer := 0;
BEGIN
  PERFORM refuse('{days,limit}', ARRAY[
    p_days BETWEEN 0 AND 36500,
    p_limit BETWEEN 1 AND 100000]);
  FOR v_key IN
    WITH due AS MATERIALIZED (
      SELECT account_id, id FROM api_keys
       WHERE is_active AND expiry_announced IS DISTINCT FROM expires_at AND expires_at > now()
         AND expires_at <= now() + make_interval(hours => 24 * p_days) AND coalesce(gateway_state, 'live') = 'live'
       ORDER BY expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE api_keys k SET expiry_announced = k.expires_at FROM due WHERE k.account_id = due.account_id AND k.id = due.id
    RETURNING k.account_id, k.id, k.name, k.key_hint, k.expires_at
  LOOP
    PERFORM write_event(v_key.account_id, 'api_key.expiring',
                        api_key_facts(v_key.id, v_key.name, v_key.key_hint, v_key.expires_at));
    v_emitted := v_emitted + 1;
  END LOOP;
  RETURN v_emitted;
END
$$;
