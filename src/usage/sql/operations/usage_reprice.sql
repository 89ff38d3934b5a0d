-- What the calls of the last p_days days would have cost by a rule of p_model with these components: of those that the rule
-- would price if it were in force now, and that were priced by a rule; of more than p_names models those that cost the most.
-- Of more than p_most calls the newest count, and `since` is the time of the oldest of those. A call that was not paid in full would not have paid more; a provider cost that was
-- reported stays, and one that was computed is computed anew.
CREATE OR REPLACE FUNCTION usage_reprice(
  p_model varchar, p_components jsonb, p_days integer, p_most integer, p_names integer, p_credits_per_usd numeric
) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_from timestamptz := now() - make_interval(days => p_days);
  v_closed date := (SELECT closed_until FROM usage_closing);
  v_operations varchar[];
BEGIN
  -- Out of the roll-ups: of each name the rule that prices it now is looked up once. Users may record any names.
  v_operations := ARRAY(
    SELECT operation FROM (
      SELECT operation FROM (
        SELECT operation, charged_credits + uncollected_credits AS credits FROM usage_totals WHERE day >= v_from::date - 1
        UNION ALL
        SELECT operation, charged_credits + uncollected_credits FROM usage_daily WHERE day >= greatest(v_from::date - 1, v_closed)) days
       GROUP BY operation ORDER BY operation = p_model DESC, sum(credits) DESC, operation LIMIT p_names) named
     WHERE rule_rank(operation, p_model) <= rule_rank(operation, (rule_for(operation, now())).model_id));
  RETURN (WITH newest AS MATERIALIZED (
      SELECT r.account_id, r.timestamp, r.credits, r.credits - r.uncollected_credits AS collected, r.uncollected_credits,
             r.provider_cost_usd AS cost, r.provider_cost_source, r.quantities, r.service_tier,
             row_number() OVER (ORDER BY r.timestamp DESC, r.id DESC) AS n
        FROM usage_records r
       WHERE r.timestamp >= v_from AND r.operation = ANY (v_operations) AND r.pricing_rule_id IS NOT NULL
         AND r.quantities IS NOT NULL
       ORDER BY r.timestamp DESC, r.id DESC LIMIT p_most + 1
    ), priced AS MATERIALIZED (
      SELECT newest.*, price_call(p_components, quantities, service_tier) AS call FROM newest WHERE n <= p_most
    ), repriced AS MATERIALIZED (
      SELECT account_id, credits, collected, cost, (call).credits AS new_credits,
             CASE WHEN uncollected_credits = 0 THEN (call).credits ELSE least(collected, (call).credits) END AS new_collected,
             CASE provider_cost_source WHEN 'reported' THEN cost ELSE (call).provider_cost_usd END AS new_cost
        FROM priced
    )
    SELECT json_build_object(
      'from', iso_time(v_from), 'records', count(*),
      'since', (SELECT iso_time(timestamp) FROM newest WHERE n = p_most AND EXISTS (SELECT FROM newest WHERE n > p_most)),
      'charged', json_build_object(
        'credits', coalesce(sum(credits), 0),
        'incomeUsd', trim_scale(round(coalesce(sum(collected), 0) / p_credits_per_usd, 18))::text,
        'providerCostUsd', trim_scale(sum(cost))::text,
        'marginUsd', trim_scale(round(sum(collected) FILTER (WHERE cost IS NOT NULL) / p_credits_per_usd, 18) - sum(cost))::text),
      'repriced', json_build_object(
        'credits', coalesce(sum(new_credits), 0),
        'incomeUsd', trim_scale(round(coalesce(sum(new_collected), 0) / p_credits_per_usd, 18))::text,
        'providerCostUsd', trim_scale(sum(new_cost))::text,
        'marginUsd', trim_scale(round(sum(new_collected) FILTER (WHERE new_cost IS NOT NULL) / p_credits_per_usd, 18)
                                - sum(new_cost))::text),
      'accounts', (
        SELECT coalesce(json_agg(json_build_object(
                 'accountId', account_id, 'records', records, 'credits', credits, 'repricedCredits', new_credits)
                 ORDER BY abs(new_credits - credits) DESC, account_id), '[]')
          FROM (SELECT account_id, count(*) AS records, sum(credits) AS credits, sum(new_credits) AS new_credits
                  FROM repriced GROUP BY 1 HAVING sum(credits) <> sum(new_credits)
                 ORDER BY abs(sum(new_credits) - sum(credits)) DESC, account_id LIMIT 10) affected))
      FROM repriced);
END
$$;
