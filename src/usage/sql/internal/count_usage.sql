-- Adds one record to the roll-ups of its UTC day. Answers whether it is counted as `other`: a user's day has a bounded number
-- of rows, so that no user makes everyone's statistics slow; names are counted only where another row would be made.
CREATE OR REPLACE FUNCTION count_usage(p_record usage_records) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  c_names CONSTANT integer := 1000;
  v_day date := (p_record.timestamp AT TIME ZONE 'UTC')::date;
BEGIN
  p_record.counted_as_other := FALSE;
  PERFORM FROM usage_daily
   WHERE user_id = p_record.user_id AND day = v_day AND service = p_record.service AND operation = p_record.operation;
  IF NOT FOUND THEN
    p_record.counted_as_other := c_names <= (
      SELECT count(*) FROM (SELECT FROM usage_daily WHERE user_id = p_record.user_id AND day = v_day LIMIT c_names) names);
    IF p_record.counted_as_other THEN p_record := as_counted(p_record); END IF;
  END IF;
  INSERT INTO usage_daily AS d
    (user_id, day, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits,
     unpriced_records, charged_credits)
  VALUES (p_record.user_id, v_day, p_record.service, p_record.operation,
          1, p_record.credits, coalesce(p_record.provider_cost_usd, 0),
          (p_record.provider_cost_usd IS NOT NULL)::integer,
          CASE WHEN p_record.provider_cost_usd IS NULL THEN 0 ELSE p_record.credits END,
          (p_record.pricing_source IS NOT DISTINCT FROM 'fallback')::integer,
          CASE WHEN p_record.billing_status = 'recorded' THEN 0 ELSE p_record.credits - p_record.uncollected_credits END)
  ON CONFLICT (user_id, day, service, operation) DO UPDATE
    SET records = d.records + 1,
        credits = d.credits + excluded.credits,
        provider_cost_usd = d.provider_cost_usd + excluded.provider_cost_usd,
        costed_records = d.costed_records + excluded.costed_records,
        costed_credits = d.costed_credits + excluded.costed_credits,
        unpriced_records = d.unpriced_records + excluded.unpriced_records,
        -- Stays NULL where it is: such a row does not know what came before.
        charged_credits = d.charged_credits + excluded.charged_credits;
  PERFORM correct_totals(p_record, 1);
  RETURN p_record.counted_as_other;
END
$$;
