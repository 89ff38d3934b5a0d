-- Turns the record that a time-out wrote into the record of the call as it really ended, and moves it in the roll-up.
CREATE OR REPLACE FUNCTION replace_usage(
  p_user varchar, p_usage bigint, p_service varchar, p_credits bigint, p_metadata jsonb,
  p_status varchar, p_uncollected bigint, p_cost numeric
) RETURNS usage_records
LANGUAGE plpgsql AS $$
DECLARE
  v_old usage_records;
  v_new usage_records;
BEGIN
  SELECT * INTO STRICT v_old FROM usage_records WHERE user_id = p_user AND id = p_usage;
  UPDATE usage_daily
     SET records = records - 1,
         credits = credits - v_old.credits,
         provider_cost_usd = provider_cost_usd - coalesce(v_old.provider_cost_usd, 0),
         costed_records = costed_records - (v_old.provider_cost_usd IS NOT NULL)::integer,
         unpriced_records = unpriced_records - (v_old.pricing_source IS NOT DISTINCT FROM 'fallback')::integer
   WHERE user_id = p_user AND day = (v_old.timestamp AT TIME ZONE 'UTC')::date
     AND service = v_old.service AND operation = v_old.operation;
  UPDATE usage_records
     SET service = p_service, credits = p_credits, metadata = p_metadata, billing_status = p_status,
         uncollected_credits = p_uncollected, provider_cost_usd = p_cost
   WHERE user_id = p_user AND id = p_usage
  RETURNING * INTO v_new;
  PERFORM count_usage(v_new);
  RETURN v_new;
END
$$;
