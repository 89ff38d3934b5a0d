-- Charges one finished call: prices it (or takes credits, a price calculated elsewhere), debits it and records it.
-- Idempotent by requestId: again, it returns the record. billingStatus needs_review records without debiting; so does a
-- short balance with onInsufficient review. A gateway's call names the gateway and, in payerVersion, the version of its
-- settings that the payer was found in.
-- Outcomes: ok (record, totalCredits), user_not_found, payer_changed (those settings have changed since), request_mismatch,
-- idempotency_mismatch, unpriced, insufficient, budget_exceeded, limit_exceeded (both only with onInsufficient reject: with
-- review, tokens and requests are counted, however many they are).
CREATE OR REPLACE FUNCTION usage_charge(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_user varchar := p ->> 'userId';
  p_request varchar := p ->> 'requestId';
  p_content_hash varchar := p ->> 'contentHash';
  p_model varchar := p ->> 'modelId';
  p_credits bigint := p ->> 'credits';
  p_quantities jsonb := p -> 'quantities';
  p_tier varchar := p ->> 'serviceTier';
  p_unexplained bigint := p ->> 'unexplainedTokens';
  p_service varchar := p ->> 'service';
  p_metadata jsonb := p -> 'metadata';
  p_at timestamptz := p ->> 'timestamp';
  p_cost numeric := p ->> 'providerCostUsd';
  p_source varchar := p ->> 'usageSource';
  p_billing varchar := p ->> 'billingStatus';
  p_on_short varchar := p ->> 'onInsufficient';
  p_reject_unpriced boolean := p ->> 'rejectUnpriced';
  p_actor varchar := p ->> 'actor';
  p_api_key bigint := p ->> 'apiKeyId';
  p_tags jsonb := nullif(p -> 'tags', 'null');
  p_gateway varchar := p ->> 'gateway';
  v_lock account_lock := lock_account(p_account);
  v_rule model_rule;
  v_path bigint[];
  v_unit bigint;
  v_budgets call_budgets;
  v_tokens bigint;
  v_call call_price;
  v_cost numeric := p_cost;
  v_doubtful bigint := 0;
  v_uncollected bigint;
  v_answer jsonb;
  r usage_records;
  v_checks boolean[] := ARRAY[
    is_id(p_request, 200),
    p_content_hash ~ '^[0-9a-f]{64}$',
    is_id(p_model, 100),
    coalesce(p_credits BETWEEN 0 AND 1000000000000, TRUE),
    jsonb_typeof(p_quantities) = 'object' OR p_credits IS NOT NULL,
    p_tier IN ('standard', 'batch', 'flex', 'priority'),
    coalesce(p_unexplained BETWEEN 0 AND 1000000000, TRUE),
    is_id(p_service, 50),
    coalesce(p_at BETWEEN '1970-01-01Z' AND now() + interval '2 days', TRUE),
    jsonb_typeof(p_metadata) = 'object' AND pg_column_size(p_metadata) <= 100000,
    coalesce(p_cost BETWEEN 0 AND 1000000000000, TRUE),
    coalesce(p_source IN ('provider', 'drained', 'estimated'), TRUE),
    p_billing IN ('billed', 'needs_review'),
    p_on_short IN ('reject', 'review'),
    p_reject_unpriced IS NOT NULL,
    char_length(p_actor) BETWEEN 1 AND 64,
    p_gateway IS NULL OR is_id(p_gateway, 20),
    (p_gateway IS NULL) = (p ->> 'payerVersion' IS NULL),
    is_idempotency(p)];
BEGIN
  IF p_account <> p_user AND v_lock.account_id IS NOT NULL THEN
    v_path := member_path(p_account, p_user);
    v_unit := v_path[cardinality(v_path)];
  END IF;
  -- A member's ids are good, and so is that of a personal account that is there.
  IF v_path IS NULL AND (v_lock.account_id IS DISTINCT FROM p_user OR p_user ^@ 'org:') THEN
    PERFORM refuse('{accountId,userId}', ARRAY[is_account_id(p_account), is_user_id(p_user)]);
  END IF;
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{requestId,contentHash,modelId,credits,quantities,serviceTier,usage,service,timestamp,metadata,providerCostUsd,usageSource,billingStatus,onInsufficient,rejectUnpriced,actor,gateway,payerVersion,"Idempotency-Key"}', v_checks);
  END IF;
  IF p ->> 'idempotencyKey' IS NOT NULL THEN
    v_answer := earlier_answer(p);
    IF v_answer IS NOT NULL THEN
      -- It is kept without the metadata, which the record has, and which nothing changes.
      SELECT metadata INTO r.metadata FROM usage_records
       WHERE account_id = p_account AND id = (v_answer #>> '{record,id}')::bigint;
      RETURN CASE WHEN FOUND THEN jsonb_set(v_answer, '{record,metadata}', r.metadata) ELSE v_answer END;
    END IF;
  END IF;
  IF v_lock.account_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF p_tags IS NOT NULL THEN PERFORM refuse('{tags}', ARRAY[is_tags(p_tags)]); END IF;
  SELECT * INTO r FROM usage_records WHERE account_id = p_account AND request_id = p_request AND user_id = p_user;
  IF FOUND THEN
    IF r.request_hash <> decode(p_content_hash, 'hex') THEN RETURN '{"outcome": "request_mismatch"}'; END IF;
    v_answer := charge_answer(r);
    PERFORM keep_answer(p, v_answer #- '{record,metadata}');
    RETURN v_answer || '{"replayed": true}';
  END IF;
  -- Not earlier: what a member has charged stays charged, and its repetition says so.
  IF p_account <> p_user AND v_path IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  IF p_gateway IS NOT NULL THEN
    -- Until the commit, so that a change of the settings waits for the charge.
    PERFORM FROM gateways WHERE name = p_gateway AND version = (p ->> 'payerVersion')::bigint FOR SHARE;
    IF NOT FOUND THEN RETURN '{"outcome": "payer_changed"}'; END IF;
  END IF;
  IF p_credits IS NULL THEN
    -- A call that a gateway reports late costs what it cost when it was made.
    v_rule := rule_for(p_model, least(p_at, v_lock.locked_at));
    IF p_reject_unpriced AND v_rule.source = 'fallback' THEN RETURN '{"outcome": "unpriced"}'; END IF;
    v_call := price_call(v_rule.components, p_quantities, p_tier);
    p_credits := v_call.credits;
    v_cost := coalesce(p_cost, v_call.provider_cost_usd);
    IF p_unexplained > 0 THEN v_doubtful := doubtful_credits(v_rule.components, p_quantities, p_tier, v_call); END IF;
  ELSE
    p_quantities := NULL;
    p_tier := NULL;
  END IF;
  IF v_lock.has_budgets OR p_api_key IS NOT NULL THEN
    v_budgets := find_budgets(v_lock, p_user, v_path, p_api_key, p_model, v_rule.model_id, p_tags);
    v_tokens := coalesce(v_call.tokens, 0);
  END IF;
  IF p_billing = 'billed' THEN
    IF p_on_short = 'reject' THEN
      IF p_credits - v_doubtful > least(v_lock.available, v_budgets.credits) OR v_tokens > v_budgets.tokens
         OR v_budgets.requests < 1 THEN
        v_answer := budget_refusal(v_lock, v_budgets, (p_credits - v_doubtful, v_tokens, 1, 0));
        IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
      END IF;
    ELSIF p_credits - v_doubtful > greatest(least(v_lock.available, v_budgets.credits), 0) THEN
      p_billing := 'needs_review';
    END IF;
  END IF;
  p_at := coalesce(p_at, v_lock.locked_at);
  v_uncollected := CASE WHEN p_billing = 'needs_review' THEN p_credits ELSE v_doubtful END;
  IF v_doubtful > 0 THEN p_billing := 'needs_review'; END IF;
  INSERT INTO usage_records
    (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status, uncollected_credits,
     provider_cost_usd, provider_cost_source, computed_cost_usd, pricing_rule_id, pricing_source, priced_as, quantities, service_tier,
     fallback_classes, usage_source, api_key_id, unit_id, tags, periods, request_id, request_hash,
     remaining_after_charge, counted_as_other)
  VALUES
    (p_account, p_user, p_at, p_service, p_model, p_credits, p_metadata, p_billing, v_uncollected,
     v_cost, cost_source(p_cost, v_cost), CASE WHEN p_cost IS NOT NULL THEN v_call.provider_cost_usd END, v_rule.id, v_rule.source, nullif(v_rule.model_id, p_model), p_quantities, p_tier,
     v_call.fallback_classes, p_source, p_api_key, v_unit, p_tags, v_budgets.periods, p_request, decode(p_content_hash, 'hex'),
     greatest(may_still_spend(v_lock, p_user, v_budgets) - p_credits + v_uncollected, 0),
     count_usage(p_account, p_user, v_unit, p_at, p_service, p_model,
                 sums_of_record(p_credits, v_uncollected, p_billing, v_cost, v_rule.source)))
  RETURNING * INTO r;
  IF p_billing = 'needs_review' THEN PERFORM emit_review_event(p_account, r.id); END IF;
  p_credits := p_credits - v_uncollected;
  IF p_credits > 0 THEN
    PERFORM take_credits(v_lock, (p_user, 'charge', NULL, r.id, p_actor, NULL, v_unit, p_api_key), p_credits, 0, '{}', '{}');
  END IF;
  IF v_budgets.periods IS NOT NULL THEN
    PERFORM count_budgets(p_account, v_budgets.periods, p_credits, v_tokens, 1);
  END IF;
  v_answer := charge_answer(r);
  PERFORM keep_answer(p, v_answer #- '{record,metadata}');
  RETURN v_answer;
END
$$;
