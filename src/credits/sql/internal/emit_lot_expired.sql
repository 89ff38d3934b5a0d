-- Emits that credits of a lot have expired unspent.
CREATE OR REPLACE FUNCTION emit_lot_expired(
  p_account varchar, p_allocation bigint, p_credits bigint, p_total bigint, p_expires_at timestamptz
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM write_event(p_account, 'credits.expired', jsonb_build_object(
    'allocationId', p_allocation, 'credits', p_credits, 'totalCredits', p_total, 'expiresAt', iso_time(p_expires_at)));
END
$$;
