-- Makes all lanes of an endpoint due now, or never: those of one that is switched off must not be looked at again and
-- again.
CREATE OR REPLACE FUNCTION webhook_lanes_due(p_endpoint bigint, p_is_due boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM webhook_lanes WHERE endpoint_id = p_endpoint ORDER BY account_id FOR UPDATE;
  UPDATE webhook_lanes
     SET next_attempt_at = CASE WHEN p_is_due THEN clock_timestamp() ELSE 'infinity' END,
         attempts = CASE WHEN p_is_due THEN 0 ELSE attempts END, lease = NULL
   WHERE endpoint_id = p_endpoint;
  IF p_is_due THEN PERFORM pg_notify('accounting_events', 'published'); END IF;
END
$$;
