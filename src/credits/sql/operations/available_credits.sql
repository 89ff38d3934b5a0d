-- What a user can spend now: the cache less the lots that have expired by now, whether or not they have been written
-- off. No lot is looked at before next_expiry, so a user with thousands of spent lots costs no more than any other.
-- NULL for a user never seen.
CREATE OR REPLACE FUNCTION available_credits(p_account varchar) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
BEGIN
  RETURN (SELECT b.available - CASE WHEN b.next_expiry <= now() THEN coalesce((
             SELECT sum(l.remaining_credits) FROM credit_allocations l
              WHERE l.account_id = p_account AND l.is_open AND l.expires_at <= now()), 0) ELSE 0 END
      FROM credit_balances b WHERE b.account_id = p_account);
END
$$;
