-- What the calls of a range used and cost by class, before the rounding: of one account (and one user of it, if p_user
-- names one), or of all. Of more than p_most records, or more than p_most_prices combinations of rule, tier and threshold,
-- the newest records count, and `since` is the time of the oldest of those. Calls of one combination have the same prices,
-- so what they used is added up before it is priced.
CREATE OR REPLACE FUNCTION usage_classes(
  p_account varchar, p_from timestamptz, p_to timestamptz, p_most integer, p_most_prices integer, p_user varchar
) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN (WITH newest AS MATERIALIZED (
      SELECT row_number() OVER (ORDER BY timestamp DESC) AS n, * FROM (
        -- Three statements, of which two find nothing: before PostgreSQL 18 one plan serves all arguments, and with one
        -- condition for all it could not use the indexes of accounts and of members.
        (SELECT timestamp, pricing_rule_id, service_tier, quantities FROM usage_records
          WHERE account_id = p_account AND p_user IS NULL
            AND timestamp >= coalesce(p_from, '-infinity') AND timestamp < coalesce(p_to, 'infinity')
          ORDER BY timestamp DESC LIMIT p_most + 1)
        UNION ALL
        (SELECT timestamp, pricing_rule_id, service_tier, quantities FROM usage_records
          WHERE account_id = p_account AND user_id = p_user AND user_id <> account_id
            AND timestamp >= coalesce(p_from, '-infinity') AND timestamp < coalesce(p_to, 'infinity')
          ORDER BY timestamp DESC LIMIT p_most + 1)
        UNION ALL
        (SELECT timestamp, pricing_rule_id, service_tier, quantities FROM usage_records
          WHERE p_account IS NULL
            AND timestamp >= coalesce(p_from, '-infinity') AND timestamp < coalesce(p_to, 'infinity')
          ORDER BY timestamp DESC LIMIT p_most + 1)) either
    ), thresholds AS MATERIALIZED (
      -- One object and no join: of an account that is not in the statistics yet the planner expects one record, and would look
      -- through all rules for each.
      SELECT jsonb_object_agg(id, above::text) AS of_rule FROM (
        SELECT id, ARRAY(SELECT DISTINCT (price -> 'above')::bigint FROM jsonb_each(components) c
                          CROSS JOIN jsonb_array_elements(c.value) price WHERE price -> 'above' <> '0' ORDER BY 1) AS above
          FROM pricing_rules WHERE id IN (SELECT pricing_rule_id FROM newest)) rules
       WHERE above <> '{}'
    ), graded AS MATERIALIZED (
      -- `above`: the highest threshold that the prompt exceeds. Once for each record: its prompt is as long for every class.
      SELECT n, pricing_rule_id, service_tier, quantities,
             CASE WHEN t.above IS NULL THEN 0
                  ELSE coalesce(t.above[width_bucket(prompt_tokens(quantities)::bigint - 1, t.above)], 0) END AS above
        FROM newest
       CROSS JOIN LATERAL (SELECT ((SELECT of_rule FROM thresholds) ->> pricing_rule_id::text)::bigint[] AS above) t
       WHERE pricing_rule_id IS NOT NULL
    ), cut AS MATERIALIZED (
      SELECT least(p_most + 1, (SELECT min(n) AS first FROM graded GROUP BY pricing_rule_id, service_tier, above
                                 ORDER BY first OFFSET p_most_prices LIMIT 1)) AS n
    ), used AS MATERIALIZED (
      SELECT pricing_rule_id, service_tier, above, q.key AS class, sum(q.value::bigint) AS quantity, count(*) AS records
        FROM graded CROSS JOIN LATERAL jsonb_each_text(quantities) q
       WHERE n < (SELECT n FROM cut) AND q.value <> '0'
       GROUP BY 1, 2, 3, 4
    ), priced AS MATERIALIZED (
      SELECT used.*, component_for(r.components, class, service_tier, jsonb_build_object('input', above + 1)) AS price
        FROM used JOIN pricing_rules r ON r.id = used.pricing_rule_id
    ), classes AS (
      -- Another class's price is a fallback, and none as well; the blended one of tokens is every token's own (price_call).
      SELECT class, sum(quantity) AS quantity, sum(records) AS records,
             coalesce(sum(records) FILTER (WHERE coalesce(price ->> 'class', '') NOT IN (class, 'tokens')), 0) AS fallbacks,
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
      'since', (SELECT timestamp FROM newest
                 WHERE n = (SELECT n FROM cut) - 1 AND EXISTS (SELECT FROM newest WHERE n = (SELECT n FROM cut)))));
END
$$;
