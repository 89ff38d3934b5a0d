-- Lets an API key that has a successor now stop after so many seconds, or by its own expiry if that is sooner; its gateway
-- is due to be updated.
CREATE OR REPLACE FUNCTION api_key_end_after(p_account varchar, p_id bigint, p_seconds integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_end timestamptz := v_now + make_interval(secs => p_seconds);
BEGIN
  UPDATE api_keys
     SET is_rotated = TRUE,
         expires_at = least(expires_at, v_end),
         gateway_due_at = CASE WHEN gateway_state <> 'ended' THEN v_now END
   WHERE account_id = p_account AND id = p_id;
END
$$;
