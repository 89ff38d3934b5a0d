-- The price of a class by a rule's components: the class's own before those it falls back to, that of the service tier before
-- the standard one, and that of the highest threshold that the prompt exceeds, which is the call's input tokens of every
-- class. {class, price, cost}; NULL: the rule has no price for it.
CREATE OR REPLACE FUNCTION component_for(p_components jsonb, p_class text, p_tier varchar, p_quantities jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_classes jsonb := price_classes(p_class);
  v_class text;
  v_prices jsonb;
  v_prompt bigint;
BEGIN
  FOR i IN 0 .. jsonb_array_length(v_classes) - 1 LOOP
    v_class := v_classes ->> i;
    v_prices := coalesce(p_components -> (v_class || ' ' || p_tier), p_components -> (v_class || ' standard'));
    IF jsonb_array_length(v_prices) = 1 THEN RETURN v_prices -> 0; END IF;
    IF v_prices IS NOT NULL THEN
      SELECT sum(value::bigint) INTO v_prompt FROM jsonb_each(p_quantities)
       WHERE key IN ('input', 'cached_input', 'cache_write_5m', 'cache_write_1h', 'audio_input', 'cached_audio_input',
                     'audio_cache_write', 'image_input', 'video_input');
      RETURN (SELECT value FROM jsonb_array_elements(v_prices)
               WHERE (value -> 'above')::bigint < v_prompt OR (value -> 'above')::bigint = 0 LIMIT 1);
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
