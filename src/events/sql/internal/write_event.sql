-- Puts an event into the outbox, in the transaction of its movement: both are committed, or neither. The notification
-- goes out with the commit; a lost one costs the publisher a moment.
--
-- An account's ids rise, which is the order of its events, also where it has moved here from a server of a cluster whose ids
-- are higher and its events still wait.
CREATE OR REPLACE FUNCTION write_event(p_account varchar, p_type varchar, p_data jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_id bigint := nextval('event_outbox_id_seq');
  v_last bigint;
BEGIN
  SELECT max(id) INTO v_last FROM event_outbox WHERE account_id = p_account;
  IF v_last >= v_id THEN
    -- Not every writer holds the lock of the account.
    PERFORM pg_advisory_xact_lock(hashtextextended('event_outbox:' || p_account, 0));
    SELECT coalesce(max(id) + 1, v_id) INTO v_id FROM event_outbox WHERE account_id = p_account;
  END IF;
  INSERT INTO event_outbox (account_id, id, type, occurred_at, data) OVERRIDING SYSTEM VALUE
  VALUES (p_account, v_id, p_type, clock_timestamp(), p_data);
  PERFORM pg_notify('accounting_events', 'written');
END
$$;
