-- Emits api_key.expired for up to p_limit API keys whose expiry has passed, once for each expiry of a key. What ended more
-- than p_days ago is older than events are kept. Returns how many.
CREATE OR REPLACE FUNCTION events_announce_ended_keys(p_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_key record;
  v_emitted integer := 0;
BEGIN
  PERFORM refuse('{days,limit}', ARRAY[
    p_days BETWEEN 0 AND 36500,
    p_limit BETWEEN 1 AND 100000]);
  FOR v_key IN
    WITH ended AS MATERIALIZED (
      SELECT account_id, id FROM api_keys
       WHERE is_active AND (end_announced IS NULL OR end_announced < expires_at) AND expires_at <= now()
         AND expires_at > now() - make_interval(hours => 24 * p_days)
         AND coalesce(gateway_state, 'live') NOT IN ('pending', 'opening', 'failed')
       ORDER BY expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE api_keys k SET end_announced = k.expires_at FROM ended WHERE k.account_id = ended.account_id AND k.id = ended.id
    RETURNING k.account_id, k.id, k.name, k.key_hint, k.expires_at
  LOOP
    PERFORM write_event(v_key.account_id, 'api_key.expired',
                        api_key_facts(v_key.id, v_key.name, v_key.key_hint, v_key.expires_at));
    v_emitted := v_emitted + 1;
  END LOOP;
  RETURN v_emitted;
END
$$;
