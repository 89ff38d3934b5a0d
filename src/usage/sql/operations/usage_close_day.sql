-- Closes the oldest UTC day with usage that is over by two days and not closed: its rows of usage_daily are added up to
-- usage_totals. When there is none, what has changed in closed days since is added to them, a bounded number of changes at
-- a time. Answers whether anything was done; one caller at a time, the others are answered no.
CREATE OR REPLACE FUNCTION usage_close_day() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_from date;
  v_end date := (now() AT TIME ZONE 'UTC')::date - 2;
  v_closes boolean;
  v_added text;
  v_totals bigint;
BEGIN
  SELECT closed_until INTO v_from FROM usage_closing FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN FALSE; END IF;
  v_closes := v_from < v_end;
  IF v_closes THEN
    v_end := least(v_end, (SELECT min(day) + 1 FROM usage_daily WHERE day >= v_from));
    -- One statement, so one snapshot: a correction is taken away with the very change that it stands for.
    v_added := 'WITH closing AS (UPDATE usage_closing SET closed_until = $2),
                     gone AS (DELETE FROM usage_corrections WHERE day >= $1 AND day < $2),
                     added AS (SELECT * FROM usage_daily WHERE day >= $1 AND day < $2 AND records > 0)';
  ELSE
    v_added := 'WITH added AS (DELETE FROM usage_corrections WHERE id IN (
                     SELECT id FROM usage_corrections WHERE day < $1 ORDER BY id LIMIT 10000) RETURNING *)';
  END IF;
  EXECUTE v_added || '
    INSERT INTO usage_totals AS t
      (day, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits, unpriced_records,
       charged_credits, uncollected_credits)
    SELECT day, service, operation, sum(records), sum(credits), sum(provider_cost_usd), sum(costed_records),
           sum(costed_credits), sum(unpriced_records), sum(charged_credits), sum(uncollected_credits)
      FROM added GROUP BY 1, 2, 3
    ON CONFLICT (day, service, operation) DO UPDATE
      SET records = t.records + excluded.records,
          credits = t.credits + excluded.credits,
          provider_cost_usd = t.provider_cost_usd + excluded.provider_cost_usd,
          costed_records = t.costed_records + excluded.costed_records,
          costed_credits = t.costed_credits + excluded.costed_credits,
          unpriced_records = t.unpriced_records + excluded.unpriced_records,
          charged_credits = t.charged_credits + excluded.charged_credits,
          uncollected_credits = t.uncollected_credits + excluded.uncollected_credits' USING v_from, v_end;
  GET DIAGNOSTICS v_totals = ROW_COUNT;
  RETURN v_closes OR v_totals > 0;
END
$$;
