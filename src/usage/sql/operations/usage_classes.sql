-- What the calls of a range used and cost by class, before the rounding: of one account (and one user of it, if p_user
-- names one), or of all. Of more records than
-- p_most the newest count, and `since` is the time of the oldest of those. Calls of one rule and tier whose prompts exceed
-- the same thresholds have the same prices, so what they used is added up before it is priced.
CREATE OR REPLACE FUNCTION usage_classes(p_account varchar, p_from timestamptz, p_to timestamptz, p_most integer, p_user varchar) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH newest AS MATERIALIZED (
    -- Two statements, of which one finds nothing: before PostgreSQL 18 one plan serves all arguments, and with one condition
    -- for both it could not use the account's index.
    (SELECT timestamp, pricing_rule_id, service_tier, quantities, fallback_classes FROM usage_records
      WHERE account_id = p_account AND (p_user IS NULL OR user_id = p_user)
        AND timestamp >= coalesce(p_from, '-infinity') AND timestamp < coalesce(p_to, 'infinity')
      ORDER BY timestamp DESC LIMIT p_most + 1)
    UNION ALL
    (SELECT timestamp, pricing_rule_id, service_tier, quantities, fallback_classes FROM usage_records
      WHERE p_account IS NULL
        AND timestamp >= coalesce(p_from, '-infinity') AND timestamp < coalesce(p_to, 'infinity')
      ORDER BY timestamp DESC LIMIT p_most + 1)
  ), counted AS MATERIALIZED (
    SELECT * FROM newest ORDER BY timestamp DESC LIMIT p_most
  ), rules AS MATERIALIZED (
    SELECT id, components, (SELECT array_agg(DISTINCT (price -> 'above')::bigint) FROM jsonb_each(components) c
                             CROSS JOIN jsonb_array_elements(c.value) price WHERE price -> 'above' <> '0') AS thresholds
      FROM pricing_rules WHERE id IN (SELECT pricing_rule_id FROM counted)
  ), used AS MATERIALIZED (
    SELECT r.pricing_rule_id, r.service_tier, t.above, q.key AS class, sum(q.value::bigint) AS quantity,
           count(*) AS records, count(*) FILTER (WHERE q.key = ANY (r.fallback_classes)) AS fallbacks
      FROM counted r
      JOIN rules ON rules.id = r.pricing_rule_id
     CROSS JOIN LATERAL (
       SELECT CASE WHEN rules.thresholds IS NULL THEN 0 ELSE (
                SELECT coalesce(max(above), 0) FROM unnest(rules.thresholds) above
                 WHERE above < prompt_tokens(r.quantities)) END AS above) t
     CROSS JOIN LATERAL jsonb_each_text(r.quantities) q
     WHERE q.value <> '0'
     GROUP BY 1, 2, 3, 4
  ), priced AS (
    SELECT used.*, component_for(rules.components, class, service_tier, jsonb_build_object('input', above + 1)) AS price
      FROM used JOIN rules ON rules.id = used.pricing_rule_id
  ), classes AS (
    SELECT class, sum(quantity) AS quantity, sum(records) AS records, sum(fallbacks) AS fallbacks,
           sum(quantity * coalesce((price ->> 'price')::numeric, 0)) AS credits,
           CASE WHEN bool_and(price ->> 'cost' IS NOT NULL) THEN sum(quantity * (price ->> 'cost')::numeric) END AS cost
      FROM priced GROUP BY 1
  )
  SELECT json_build_object(
    'classes', coalesce((
      SELECT json_agg(json_build_object(
               'class', class, 'quantity', quantity, 'credits', trim_scale(credits)::text,
               'providerCostUsd', trim_scale(cost)::text, 'records', records, 'fallbackRecords', fallbacks)
               ORDER BY credits DESC, class) FROM classes), '[]'),
    'since', CASE WHEN (SELECT count(*) FROM newest) > p_most THEN (SELECT min(timestamp) FROM counted) END)
$$;
