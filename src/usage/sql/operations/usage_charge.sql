-- Charges one finished call: prices it, debits it and records it. Idempotent by p_request: again, it answers with the
-- record. p_billing needs_review records without debiting; so does a short balance with p_on_short review.
-- Outcomes: ok (record, totalCredits), user_not_found, request_mismatch, idempotency_mismatch, unpriced, insufficient,
-- key_limit.
CREATE OR REPLACE FUNCTION usage_charge(
  p_user varchar, p_request varchar, p_request_hash bytea, p_model varchar,
  p_tokens bigint, p_input bigint, p_output bigint, p_cached bigint,
  p_service varchar, p_metadata jsonb, p_at timestamptz, p_cost numeric, p_billing varchar, p_on_short varchar,
  p_reject_unpriced boolean, p_actor varchar, p_api_key bigint, p_caller varchar, p_key varchar, p_hash bytea
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_lock record := lock_balance(p_user);
  v_balance credit_balances := v_lock.balance;
  v_now timestamptz := v_lock.locked_at;
  v_room bigint;
  v_before bigint;
  v_price record;
  v_taken record;
  v_answer jsonb;
  r usage_records;
  v_checks boolean[] := ARRAY[
    is_user_id(p_user),
    is_id(p_request, 200),
    octet_length(p_request_hash) = 32,
    is_id(p_model, 100),
    coalesce(p_tokens BETWEEN 0 AND 1000000000, p_input IS NOT NULL AND p_output IS NOT NULL),
    coalesce(p_input BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_output BETWEEN 0 AND 1000000000, TRUE),
    coalesce(p_cached BETWEEN 0 AND 1000000000, TRUE),
    is_id(p_service, 50),
    coalesce(p_at BETWEEN '1970-01-01Z' AND now() + interval '2 days', TRUE),
    jsonb_typeof(p_metadata) = 'object' AND pg_column_size(p_metadata) <= 100000,
    coalesce(p_cost BETWEEN 0 AND 1000000000000, TRUE),
    p_billing IN ('billed', 'needs_review'),
    p_on_short IN ('reject', 'review'),
    p_reject_unpriced IS NOT NULL,
    char_length(p_actor) BETWEEN 1 AND 64,
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32))];
BEGIN
  IF coalesce(FALSE = ANY (v_checks), TRUE) THEN
    PERFORM refuse('{userId,requestId,requestHash,modelId,tokens,inputTokens,outputTokens,cachedInputTokens,service,timestamp,metadata,providerCostUsd,billingStatus,onInsufficient,rejectUnpriced,actor,"Idempotency-Key"}', v_checks);
  END IF;
  v_answer := remembered_answer(p_caller, p_key, p_hash);
  IF v_answer IS NOT NULL THEN
    -- It is kept without the metadata, which the record has, and which nothing changes.
    SELECT metadata INTO r.metadata FROM usage_records WHERE user_id = p_user AND id = (v_answer #>> '{record,id}')::bigint;
    RETURN CASE WHEN FOUND THEN jsonb_set(v_answer, '{record,metadata}', r.metadata) ELSE v_answer END;
  END IF;
  IF v_balance.user_id IS NULL THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  SELECT * INTO r FROM usage_records WHERE user_id = p_user AND request_id = p_request;
  IF FOUND THEN
    IF r.request_hash <> p_request_hash THEN RETURN '{"outcome": "request_mismatch"}'; END IF;
    v_answer := charge_answer(r);
    PERFORM remember_answer(p_caller, p_key, p_hash, v_answer #- '{record,metadata}');
    RETURN v_answer || '{"replayed": true}';
  END IF;
  v_price := price_for(p_model, v_now);
  IF p_reject_unpriced AND v_price.source = 'fallback' THEN RETURN '{"outcome": "unpriced"}'; END IF;
  r.user_id := p_user;
  r.timestamp := coalesce(p_at, v_now);
  r.service := p_service;
  r.operation := p_model;
  r.metadata := p_metadata;
  r.request_id := p_request;
  r.request_hash := p_request_hash;
  r.api_key_id := p_api_key;
  r.pricing_rule_id := v_price.rule_id;
  r.pricing_source := v_price.source;
  r.credits := credits_for_tokens(p_tokens, p_input, p_output, p_cached, v_price.price, v_price.input_price,
                                  v_price.output_price, v_price.cached_price);
  r.provider_cost_usd := coalesce(p_cost, cost_for_tokens(
    p_tokens, p_input, p_output, p_cached, v_price.cost, v_price.input_cost, v_price.output_cost, v_price.cached_cost));
  r.provider_cost_source := CASE WHEN p_cost IS NOT NULL THEN 'reported'
                                 WHEN r.provider_cost_usd IS NOT NULL THEN 'computed' END;
  r.billing_status := p_billing;
  IF p_billing = 'billed' THEN
    v_room := api_key_room(p_user, p_api_key);
    IF r.credits > least(v_balance.available, v_room) THEN
      IF p_on_short = 'reject' THEN
        RETURN jsonb_build_object(
          'outcome', CASE WHEN r.credits > v_room THEN 'key_limit' ELSE 'insufficient' END,
          'requiredCredits', r.credits, 'availableCredits', least(v_balance.available, v_room));
      END IF;
      r.billing_status := 'needs_review';
    END IF;
  END IF;
  r.uncollected_credits := CASE WHEN r.billing_status = 'needs_review' THEN r.credits ELSE 0 END;
  r.balance_after := v_balance.available - r.credits + r.uncollected_credits;
  r := write_usage(r);
  IF r.billing_status = 'billed' AND r.credits > 0 THEN
    v_taken := take_credits(p_user, r.credits, 'charge', NULL, r.id, p_actor, NULL, v_now, v_balance.available,
                            '{}', '{}');
    v_before := v_balance.available + v_balance.held;
    UPDATE credit_balances SET available = v_taken.p_available WHERE user_id = p_user RETURNING * INTO v_balance;
    IF is_low(v_balance) THEN PERFORM tell_balance(v_balance, v_before); END IF;
    PERFORM api_key_count(p_user, p_api_key, 0, r.credits);
  END IF;
  v_answer := charge_answer(r);
  PERFORM remember_answer(p_caller, p_key, p_hash, v_answer #- '{record,metadata}');
  RETURN v_answer;
END
$$;
