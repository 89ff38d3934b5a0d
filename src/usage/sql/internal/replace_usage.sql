-- Turns a usage record into what p_record says of the same id, moves it in the roll-ups and counts its version on. Where
-- p_record brings a new decision of a review, that is kept for good: what it decided on is what was open before it.
CREATE OR REPLACE FUNCTION replace_usage(p_record usage_records) RETURNS usage_records
LANGUAGE plpgsql AS $$
DECLARE
  v_old usage_records;
  v_counted usage_records;
  v_new usage_records;
BEGIN
  SELECT * INTO STRICT v_old FROM usage_records WHERE user_id = p_record.user_id AND id = p_record.id;
  v_counted := as_counted(v_old);
  UPDATE usage_daily
     SET records = records - 1,
         credits = credits - v_old.credits,
         provider_cost_usd = provider_cost_usd - coalesce(v_old.provider_cost_usd, 0),
         costed_records = costed_records - (v_old.provider_cost_usd IS NOT NULL)::integer,
         costed_credits = costed_credits - CASE WHEN v_old.provider_cost_usd IS NULL THEN 0 ELSE v_old.credits END,
         unpriced_records = unpriced_records - (v_old.pricing_source IS NOT DISTINCT FROM 'fallback')::integer,
         charged_credits = charged_credits - CASE WHEN v_old.billing_status = 'recorded' THEN 0
                                                  ELSE v_old.credits - v_old.uncollected_credits END
   WHERE user_id = v_old.user_id AND day = (v_old.timestamp AT TIME ZONE 'UTC')::date
     AND service = v_counted.service AND operation = v_counted.operation;
  PERFORM correct_totals(v_counted, -1);
  IF p_record.reviewed_at > coalesce(v_old.reviewed_at, '-infinity') THEN
    INSERT INTO usage_reviews
      (user_id, usage_id, version, action, uncollected_credits, billed_credits, decided_by, decided_at)
    VALUES
      (v_old.user_id, v_old.id, v_old.version, p_record.review_action, v_old.uncollected_credits,
       CASE p_record.review_action WHEN 'bill' THEN p_record.credits - v_old.credits + v_old.uncollected_credits
                                   ELSE 0 END,
       p_record.reviewed_by, p_record.reviewed_at);
  ELSE
    p_record.review_action := v_old.review_action;
    p_record.review_credits := v_old.review_credits;
    p_record.reviewed_by := v_old.reviewed_by;
    p_record.reviewed_at := v_old.reviewed_at;
  END IF;
  UPDATE usage_records
     SET version = version + 1, service = p_record.service, credits = p_record.credits, metadata = p_record.metadata,
         billing_status = p_record.billing_status, uncollected_credits = p_record.uncollected_credits,
         provider_cost_usd = p_record.provider_cost_usd, provider_cost_source = p_record.provider_cost_source,
         review_action = p_record.review_action, review_credits = p_record.review_credits,
         reviewed_by = p_record.reviewed_by, reviewed_at = p_record.reviewed_at
   WHERE user_id = p_record.user_id AND id = p_record.id
  RETURNING * INTO v_new;
  v_new.counted_as_other := count_usage(v_new);
  IF v_new.counted_as_other <> v_old.counted_as_other THEN
    UPDATE usage_records SET counted_as_other = v_new.counted_as_other WHERE user_id = v_new.user_id AND id = v_new.id;
  END IF;
  IF (v_new.billing_status = 'needs_review') <> (v_old.billing_status = 'needs_review') THEN
    PERFORM tell_review(v_new);
  END IF;
  RETURN v_new;
END
$$;
