-- Emits credits.expiring for the lots of an account that expire within days, once each. Locked lots are left for the next
-- time. Answers how many it emitted.
CREATE OR REPLACE FUNCTION events_announce_lots(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_days integer := p ->> 'days';
  v_lot record;
  v_emitted integer := 0;
BEGIN
  PERFORM refuse('{accountId,days}', ARRAY[
    is_account_id(p_account),
    p_days BETWEEN 0 AND 36500]);
  FOR v_lot IN
    WITH due AS MATERIALIZED (
      SELECT id FROM credit_allocations
       WHERE account_id = p_account AND is_open AND NOT expiry_announced AND expires_at > now()
         AND expires_at <= now() + make_interval(hours => 24 * p_days)
       ORDER BY expires_at FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE credit_allocations l SET expiry_announced = TRUE FROM due WHERE l.account_id = p_account AND l.id = due.id
    RETURNING l.id, l.remaining_credits, l.total_credits, l.expires_at
  LOOP
    PERFORM write_event(p_account, 'credits.expiring', jsonb_build_object(
      'allocationId', v_lot.id, 'credits', v_lot.remaining_credits, 'totalCredits', v_lot.total_credits,
      'expiresAt', iso_time(v_lot.expires_at)));
    v_emitted := v_emitted + 1;
  END LOOP;
  RETURN jsonb_build_object('emitted', v_emitted);
END
$$;
