-- What each class of a call costs by a rule, exact: credits and USD, NULL where the rule has none. Prices above a context
-- threshold are decided on by the call's whole prompt: its input tokens of every class. is_valid is false for what is no
-- class, or no whole number up to 10^9.
CREATE OR REPLACE FUNCTION priced_classes(p_rule bigint, p_quantities jsonb, p_tier varchar)
RETURNS TABLE (class text, quantity numeric, priced_as varchar, price numeric, cost numeric, is_valid boolean)
LANGUAGE sql STABLE AS $$
  SELECT q.key, q.quantity, c.class, c.price, c.cost,
         coalesce(q.quantity BETWEEN 0 AND 1000000000 AND q.quantity = trunc(q.quantity), FALSE)
           AND price_classes(q.key) IS NOT NULL
    FROM (SELECT key, quantity,
                 sum(quantity) FILTER (WHERE key IN (
                   'input', 'cached_input', 'cache_write_5m', 'cache_write_1h', 'audio_input', 'cached_audio_input',
                   'audio_cache_write', 'image_input', 'video_input')) OVER () AS prompt
            FROM (SELECT key, CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END AS quantity
                    FROM jsonb_each(p_quantities)) each) q
    LEFT JOIN LATERAL component_for(p_rule, q.key, p_tier, q.prompt) c ON TRUE
$$;
