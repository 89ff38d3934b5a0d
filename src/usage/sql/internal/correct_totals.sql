-- Remembers that a record was added to (p_sign 1) or taken from (-1) a day that is over. Days are closed later than they
-- are over by this rule, by a whole day: no call is under way that long, so none is in neither of the two.
CREATE OR REPLACE FUNCTION correct_totals(p_record usage_records, p_sign integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_day date := (p_record.timestamp AT TIME ZONE 'UTC')::date;
BEGIN
  IF v_day >= (now() AT TIME ZONE 'UTC')::date - 1 THEN RETURN; END IF;
  INSERT INTO usage_corrections
    (user_id, day, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits,
     unpriced_records)
  VALUES (p_record.user_id, v_day, p_record.service, p_record.operation, p_sign, p_sign * p_record.credits,
          p_sign * coalesce(p_record.provider_cost_usd, 0), p_sign * (p_record.provider_cost_usd IS NOT NULL)::integer,
          p_sign * CASE WHEN p_record.provider_cost_usd IS NULL THEN 0 ELSE p_record.credits END,
          p_sign * (p_record.pricing_source IS NOT DISTINCT FROM 'fallback')::integer);
END
$$;
