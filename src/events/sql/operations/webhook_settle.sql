-- Records the outcome of an attempt, and when the lane is due again. pauses are the seconds before each retry; when
-- they are used up the delivery is dead and the lane goes on with the next. An endpoint that has failed for
-- patienceSeconds without a success between, or that says it is gone (410), is switched off.
-- Outcomes: delivered, failed (it will be tried again), dead, stale (the lease was lost meanwhile, or the endpoint was
-- deleted: nothing is written).
--
-- All functions of webhooks lock in one order: endpoints by id, lanes by user, deliveries. A success of an endpoint that
-- is well leaves the endpoint's row alone, so that deliveries to it do not wait for one another.
CREATE OR REPLACE FUNCTION webhook_settle(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_account varchar := p ->> 'accountId';
  p_endpoint bigint := p ->> 'endpointId';
  p_lease uuid := p ->> 'lease';
  p_delivery bigint := p ->> 'deliveryId';
  p_is_delivered boolean := p ->> 'isDelivered';
  p_status integer := p ->> 'status';
  p_error varchar := p ->> 'error';
  p_pauses jsonb := p -> 'pauses';
  p_at_least_seconds integer := p ->> 'atLeastSeconds';
  p_patience_seconds integer := p ->> 'patienceSeconds';
  v_now timestamptz := clock_timestamp();
  v_failing_since timestamptz;
  v_is_active boolean;
  v_lane webhook_lanes;
  v_outcome varchar := CASE WHEN p_is_delivered THEN 'delivered' ELSE 'failed' END;
  v_pause double precision;
  v_is_disabled boolean := FALSE;
BEGIN
  -- As in webhook_claim: what a crash of the database takes away is delivered again.
  PERFORM set_config('synchronous_commit', 'off', TRUE);
  SELECT failing_since INTO v_failing_since FROM webhook_endpoints WHERE id = p_endpoint;
  IF v_failing_since IS NOT NULL OR NOT p_is_delivered THEN
    SELECT failing_since, is_active INTO v_failing_since, v_is_active
      FROM webhook_endpoints WHERE id = p_endpoint FOR NO KEY UPDATE;
    v_failing_since := CASE WHEN NOT p_is_delivered THEN coalesce(v_failing_since, v_now) END;
    v_is_disabled := v_is_active AND p_delivery IS NOT NULL AND NOT p_is_delivered
                     AND (p_status = 410 OR v_failing_since <= v_now - make_interval(secs => p_patience_seconds));
  END IF;
  SELECT * INTO v_lane FROM webhook_lanes
   WHERE endpoint_id = p_endpoint AND account_id = p_account AND lease = p_lease FOR UPDATE;
  IF NOT FOUND THEN RETURN '{"outcome": "stale", "disabled": false}'; END IF;
  IF p_delivery IS NOT NULL THEN
    IF NOT p_is_delivered THEN
      v_pause := p_pauses ->> v_lane.attempts;
      IF v_pause IS NULL THEN v_outcome := 'dead'; END IF;
    END IF;
    UPDATE webhook_deliveries
       SET status = CASE v_outcome WHEN 'failed' THEN 'pending' ELSE v_outcome END, attempts = attempts + 1,
           last_attempt_at = v_now, last_status = p_status, last_error = p_error,
           delivered_at = CASE WHEN p_is_delivered THEN v_now END
     WHERE endpoint_id = p_endpoint AND account_id = p_account AND id = p_delivery;
    -- Only where its row is locked.
    IF v_is_active IS NOT NULL THEN
      UPDATE webhook_endpoints SET failing_since = v_failing_since
       WHERE id = p_endpoint AND failing_since IS DISTINCT FROM v_failing_since;
    END IF;
    IF v_is_disabled THEN
      UPDATE webhook_endpoints
         SET is_active = FALSE, disabled_at = v_now,
             disabled_reason = CASE WHEN p_status = 410 THEN 'gone' ELSE 'failing' END, updated_at = v_now
       WHERE id = p_endpoint;
    END IF;
  END IF;
  IF v_outcome = 'failed' AND p_delivery IS NOT NULL THEN
    -- Varied by a fifth, so that what failed together does not come back together.
    v_pause := v_pause * (0.8 + 0.4 * random());
    UPDATE webhook_lanes
       SET attempts = attempts + 1, lease = NULL,
           next_attempt_at = v_now + make_interval(secs => greatest(v_pause, p_at_least_seconds))
     WHERE endpoint_id = p_endpoint AND account_id = p_account;
  ELSIF EXISTS (SELECT 1 FROM webhook_deliveries
                 WHERE endpoint_id = p_endpoint AND account_id = p_account AND status = 'pending') THEN
    UPDATE webhook_lanes SET attempts = 0, lease = NULL, next_attempt_at = v_now
     WHERE endpoint_id = p_endpoint AND account_id = p_account;
  ELSE
    DELETE FROM webhook_lanes WHERE endpoint_id = p_endpoint AND account_id = p_account;
  END IF;
  RETURN jsonb_build_object('outcome', v_outcome, 'disabled', v_is_disabled);
END
$$;
