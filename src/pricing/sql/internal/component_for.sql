-- The price of a class by a rule's components: the class's own before those it falls back to, that of the service tier before
-- the standard one, and that of the highest threshold that the prompt exceeds, which is the call's input tokens of every
-- class. A price above a threshold that the prompt does not exceed is none. {class, above, price, cost}; NULL: the rule has
-- no price for it.
CREATE OR REPLACE FUNCTION component_for(p_components jsonb, p_class text, p_tier varchar, p_quantities jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_classes jsonb := price_classes(p_class);
  v_prices jsonb;
  v_price jsonb;
  v_tier varchar;
BEGIN
  FOR i IN 0 .. jsonb_array_length(v_classes) - 1 LOOP
    FOREACH v_tier IN ARRAY ARRAY[p_tier, 'standard'] LOOP
      v_prices := p_components -> ((v_classes ->> i) || ' ' || v_tier);
      CONTINUE WHEN v_prices IS NULL;
      v_price := v_prices -> 0;
      -- The highest threshold comes first: where it is 0 there is no other.
      IF v_price -> 'above' = '0' THEN RETURN v_price; END IF;
      SELECT value INTO v_price FROM jsonb_array_elements(v_prices)
       WHERE (value -> 'above')::numeric < prompt_tokens(p_quantities) OR value -> 'above' = '0' LIMIT 1;
      IF FOUND THEN RETURN v_price; END IF;
    END LOOP;
  END LOOP;
  RETURN NULL;
END
$$;
