-- Closes the oldest UTC day with usage that is over by two days and not closed: its rows of usage_daily are added up to
-- usage_totals. When there is none, what has changed in days that are over is added to the totals, a bounded number of changes
-- at a time. Answers whether anything was done; one caller at a time, the others are answered no.
--
-- A day is closed as it was without its corrections, which are added like those that come later: a change and its correction
-- are committed together, so whichever of them the sum finds, each change is counted once.
CREATE OR REPLACE FUNCTION usage_close_day() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  c_corrections CONSTANT integer := 10000;
  v_from date;
  v_end date := (now() AT TIME ZONE 'UTC')::date - 2;
  v_ids bigint[];
  v_added text;
BEGIN
  SELECT closed_until INTO v_from FROM usage_closing FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN FALSE; END IF;
  IF v_from < v_end THEN
    v_end := least(v_end, (SELECT min(day) + 1 FROM usage_daily WHERE day >= v_from));
    UPDATE usage_closing SET closed_until = v_end;
    v_added := 'SELECT account_id, day, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits,
                       unpriced_records, charged_credits, uncollected_credits FROM usage_daily WHERE day >= $1 AND day < $2
                UNION ALL
                SELECT account_id, day, service, operation, -records, -credits, -provider_cost_usd, -costed_records,
                       -costed_credits, -unpriced_records, -charged_credits, -uncollected_credits FROM usage_corrections WHERE day >= $1 AND day < $2';
  ELSE
    -- No correction is ever changed.
    SELECT array_agg(id) INTO v_ids
      FROM (SELECT id FROM usage_corrections WHERE day < v_from ORDER BY id LIMIT c_corrections) first;
    IF v_ids IS NULL THEN RETURN FALSE; END IF;
    v_added := 'SELECT * FROM usage_corrections WHERE id = ANY ($3)';
  END IF;
  EXECUTE 'INSERT INTO usage_totals AS t
      (day, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits, unpriced_records,
       charged_credits, uncollected_credits)
    SELECT day, service, operation, sum(records), sum(credits), sum(provider_cost_usd), sum(costed_records),
           sum(costed_credits), sum(unpriced_records), sum(charged_credits), sum(uncollected_credits)
      FROM (' || v_added || ') added GROUP BY 1, 2, 3
    ON CONFLICT (day, service, operation) DO UPDATE
      SET records = t.records + excluded.records,
          credits = t.credits + excluded.credits,
          provider_cost_usd = t.provider_cost_usd + excluded.provider_cost_usd,
          costed_records = t.costed_records + excluded.costed_records,
          costed_credits = t.costed_credits + excluded.costed_credits,
          unpriced_records = t.unpriced_records + excluded.unpriced_records,
          charged_credits = t.charged_credits + excluded.charged_credits,
          uncollected_credits = t.uncollected_credits + excluded.uncollected_credits' USING v_from, v_end, v_ids;
  DELETE FROM usage_corrections WHERE id = ANY (v_ids);
  RETURN TRUE;
END
$$;
