-- What the calls of a range used and cost by class, before the rounding: of one account (and one user of it, if p_user
-- names one), or of all. Of more than p_most records, or more than p_most_prices combinations of rule, tier and threshold,
-- the newest records count, and `since` is the time of the oldest of those. Calls of one combination have the same prices,
-- so what they used is added up before it is priced.
-- Not delegated on a cluster, whose coordinator crashes on a call with NULL for the account: so p_whose and not p_account.
CREATE OR REPLACE FUNCTION usage_classes(
  p_whose varchar, p_from timestamptz, p_to timestamptz, p_most integer, p_most_prices integer, p_user varchar
) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  v_times timestamptz[];
  v_rules bigint[];
  v_rules_used bigint[];
  v_tiers varchar[];
  v_quantities jsonb[];
  v_components jsonb;
BEGIN
  -- Rows are read first, because a cluster does not plan the statement below over them; and planned for what is asked for, which
  -- has an index each: the records of all, of an account, of a member.
  EXECUTE 'SELECT array_agg(timestamp), array_agg(pricing_rule_id), array_agg(service_tier::varchar), array_agg(quantities)
             FROM (SELECT timestamp, pricing_rule_id, service_tier, quantities FROM usage_records
                    WHERE timestamp >= $1 AND timestamp < $2'
                          || CASE WHEN p_whose IS NOT NULL THEN ' AND account_id = $3' ELSE '' END
                          || CASE WHEN p_user IS NOT NULL THEN ' AND user_id = $4 AND user_id <> account_id' ELSE '' END || '
                    ORDER BY timestamp DESC LIMIT $5) newest'
     INTO v_times, v_rules, v_tiers, v_quantities
    USING coalesce(p_from, '-infinity'), coalesce(p_to, 'infinity'), p_whose, p_user, p_most + 1;
  v_rules_used := ARRAY(SELECT DISTINCT id FROM unnest(v_rules) AS id WHERE id IS NOT NULL);
  SELECT coalesce(jsonb_object_agg(id, components), '{}') INTO v_components FROM pricing_rules WHERE id = ANY (v_rules_used);
  RETURN (WITH newest AS MATERIALIZED (
      SELECT * FROM unnest(v_times, v_rules, v_tiers, v_quantities) WITH ORDINALITY
                      AS read (timestamp, pricing_rule_id, service_tier, quantities, n)
    ), thresholds AS MATERIALIZED (
      -- One object and no join: of an account that is not in the statistics yet the planner expects one record, and would look
      -- through all rules for each.
      SELECT jsonb_object_agg(id, above::text) AS of_rule FROM (
        SELECT id, ARRAY(SELECT DISTINCT (price -> 'above')::bigint FROM jsonb_each(rule.components) c
                          CROSS JOIN jsonb_array_elements(c.value) price WHERE price -> 'above' <> '0' ORDER BY 1) AS above
          FROM jsonb_each(v_components) AS rule (id, components)) rules
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
      SELECT used.*, component_for(v_components -> pricing_rule_id::text, class, service_tier, jsonb_build_object('input', above + 1)) AS price
        FROM used WHERE v_components ? pricing_rule_id::text
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
