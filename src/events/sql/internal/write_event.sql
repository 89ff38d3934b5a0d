-- Puts an event into the outbox, in the transaction of its movement: both are committed, or neither. The notification
-- goes out with the commit; a lost one costs the publisher a moment.
CREATE OR REPLACE FUNCTION write_event(p_account varchar, p_type varchar, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO event_outbox (account_id, type, occurred_at, data) VALUES (p_account, p_type, clock_timestamp(), p_data);
  PERFORM pg_notify('accounting_events', 'written');
END
$$;
