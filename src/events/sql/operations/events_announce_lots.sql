-- Emits credits.expiring for up to p_limit lots that expire within p_days, once each, soonest first. Locked lots
-- are left for the next time. Returns how many it emitted.
CREATE OR REPLACE FUNCTION events_announce_lots(p_days integer, p_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_lot record;
  v_emitted integer := 0;
BEGIN
  PERFORM refuse('{days,limit}', ARRAY[
    p_days BETWEEN 0 AND 36500,
    p_limit BETWEEN 1 AND 100000]);
  FOR v_lot IN
    WITH due AS MATERIALIZED (
      SELECT account_id, id FROM credit_allocations
       WHERE is_open AND NOT expiry_announced AND expires_at > now() AND expires_at <= now() + make_interval(hours => 24 * p_days)
       ORDER BY expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE credit_allocations l SET expiry_announced = TRUE FROM due WHERE l.account_id = due.account_id AND l.id = due.id
    RETURNING l.account_id, l.id, l.remaining_credits, l.total_credits, l.expires_at
  LOOP
    PERFORM write_event(v_lot.account_id, 'credits.expiring', jsonb_build_object(
      'allocationId', v_lot.id, 'credits', v_lot.remaining_credits, 'totalCredits', v_lot.total_credits,
      'expiresAt', iso_time(v_lot.expires_at)));
    v_emitted := v_emitted + 1;
  END LOOP;
  RETURN v_emitted;
END
$$;
