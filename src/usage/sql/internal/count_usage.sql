-- Adds p_sums to the roll-up of a UTC day under a service and an operation, and returns whether they are counted without
-- a name, as '', which no record has: a user's day has at most 1,000 names, so that no user slows everyone's statistics
-- down. Chats stay chats: statistics of models add up their operations. The caller holds the account's lock.
--
-- A change of a day that is over is noted as a correction of the totals. Days are closed a whole day later than they are
-- over by this rule: no call is under way that long, so none is missing in both or counted in both.
CREATE OR REPLACE FUNCTION count_usage(
  p_account varchar, p_user varchar, p_unit bigint, p_time timestamptz, p_service varchar, p_operation varchar, p_sums usage_sums
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  c_names CONSTANT integer := 1000;
  v_day date := (p_time AT TIME ZONE 'UTC')::date;
BEGIN
  UPDATE usage_daily
     SET records = records + p_sums.records, credits = credits + p_sums.credits,
         provider_cost_usd = provider_cost_usd + p_sums.provider_cost_usd,
         costed_records = costed_records + p_sums.costed_records,
         costed_credits = costed_credits + p_sums.costed_credits,
         unpriced_records = unpriced_records + p_sums.unpriced_records,
         charged_credits = charged_credits + p_sums.charged_credits,
         uncollected_credits = uncollected_credits + p_sums.uncollected_credits
   WHERE account_id = p_account AND day = v_day AND user_id = p_user AND unit_id = coalesce(p_unit, 0)
     AND service = p_service AND operation = p_operation;
  IF NOT FOUND THEN
    IF (p_service, p_operation) <> (counted_service(p_service), '') AND c_names <= (
         SELECT count(*) FROM (SELECT FROM usage_daily WHERE account_id = p_account AND day = v_day AND user_id = p_user
                                LIMIT c_names) names) THEN
      PERFORM count_usage(p_account, p_user, p_unit, p_time, counted_service(p_service), '', p_sums);
      RETURN TRUE;
    END IF;
    INSERT INTO usage_daily
      (account_id, day, user_id, unit_id, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits,
       unpriced_records, charged_credits, uncollected_credits)
    VALUES (p_account, v_day, p_user, coalesce(p_unit, 0), p_service, p_operation, p_sums.records, p_sums.credits, p_sums.provider_cost_usd,
            p_sums.costed_records, p_sums.costed_credits, p_sums.unpriced_records, p_sums.charged_credits, p_sums.uncollected_credits);
  END IF;
  IF v_day < (now() AT TIME ZONE 'UTC')::date - 1 THEN
    INSERT INTO usage_corrections
      (account_id, day, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits,
       unpriced_records, charged_credits, uncollected_credits)
    VALUES (p_account, v_day, p_service, p_operation, p_sums.records, p_sums.credits, p_sums.provider_cost_usd,
            p_sums.costed_records, p_sums.costed_credits, p_sums.unpriced_records, p_sums.charged_credits,
            p_sums.uncollected_credits);
  END IF;
  RETURN FALSE;
END
$$;
