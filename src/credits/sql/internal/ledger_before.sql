-- An id that all of the account's ledger entries from p_time on are above: found by halving, as ids and times of an account's
-- entries grow together.
CREATE OR REPLACE FUNCTION ledger_before(p_account varchar, p_time timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_low bigint := 0;
  v_high bigint := coalesce((SELECT id FROM credit_ledger WHERE account_id = p_account ORDER BY id DESC LIMIT 1), 0);
  v_middle bigint;
  v_at timestamptz;
BEGIN
  WHILE v_low < v_high LOOP
    v_middle := (v_low + v_high) / 2;
    SELECT created_at INTO v_at FROM credit_ledger WHERE account_id = p_account AND id > v_middle ORDER BY id LIMIT 1;
    IF v_at < p_time THEN v_low := v_middle + 1; ELSE v_high := v_middle; END IF;
  END LOOP;
  RETURN v_low;
END
$$;
