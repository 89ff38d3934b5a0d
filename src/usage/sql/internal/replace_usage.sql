-- Replaces a usage record by r, which has the same id, moves it in the roll-ups and counts its version up. A new decision
-- of a review in r is kept for good: what it decided on is what was open before it. The caller holds the account's lock.
CREATE OR REPLACE FUNCTION replace_usage(r usage_records) RETURNS usage_records
LANGUAGE plpgsql AS $$
DECLARE
  v_old usage_records;
  v_is_other boolean;
BEGIN
  SELECT * INTO STRICT v_old FROM usage_records WHERE account_id = r.account_id AND id = r.id;
  PERFORM count_usage(
    r.account_id, r.user_id, r.unit_id, r.timestamp,
    CASE WHEN v_old.counted_as_other THEN counted_service(v_old.service) ELSE v_old.service END,
    CASE WHEN v_old.counted_as_other THEN '' ELSE v_old.operation END,
    negated(sums_of_record(v_old.credits, v_old.uncollected_credits, v_old.billing_status, v_old.provider_cost_usd,
                       v_old.pricing_source)));
  IF r.reviewed_at > coalesce(v_old.reviewed_at, '-infinity') THEN
    INSERT INTO usage_reviews
      (account_id, usage_id, version, action, uncollected_credits, billed_credits, decided_by, decided_at)
    VALUES
      (r.account_id, r.id, v_old.version, r.review_action, v_old.uncollected_credits,
       CASE r.review_action WHEN 'bill' THEN r.credits - v_old.credits + v_old.uncollected_credits ELSE 0 END,
       r.reviewed_by, r.reviewed_at);
  END IF;
  v_is_other := count_usage(
    r.account_id, r.user_id, r.unit_id, r.timestamp, r.service, r.operation,
    sums_of_record(r.credits, r.uncollected_credits, r.billing_status, r.provider_cost_usd, r.pricing_source));
  UPDATE usage_records
     SET version = version + 1, service = r.service, credits = r.credits, metadata = r.metadata,
         quantities = r.quantities, service_tier = r.service_tier, fallback_classes = r.fallback_classes, usage_source = r.usage_source,
         billing_status = r.billing_status, uncollected_credits = r.uncollected_credits,
         provider_cost_usd = r.provider_cost_usd, provider_cost_source = r.provider_cost_source,
         review_action = r.review_action, review_credits = r.review_credits,
         reviewed_by = r.reviewed_by, reviewed_at = r.reviewed_at,
         counted_as_other = v_is_other
   WHERE account_id = r.account_id AND id = r.id
  RETURNING * INTO r;
  IF (r.billing_status = 'needs_review') <> (v_old.billing_status = 'needs_review') THEN
    PERFORM emit_review_event(r.account_id, r.id);
  END IF;
  RETURN r;
END
$$;
