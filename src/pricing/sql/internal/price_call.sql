-- What a call costs by a rule's components: the exact sum over its classes, rounded once, up. A class without any price is
-- free. The provider's cost is exact, and NULL, which is unknown and never 0, where a class that the call uses has none.
-- fallback_classes are those that another class's price was taken for, or none: but the blended price of tokens is every
-- token's own. With p_amounts each class's part is returned as well, for people. A call that costs more than any account
-- could have is refused: JSON clients would not read the number exactly.
CREATE OR REPLACE FUNCTION price_call(p_components jsonb, p_quantities jsonb, p_tier varchar, p_amounts boolean DEFAULT FALSE)
RETURNS call_price
LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_component jsonb;
  v_class text;
  v_value jsonb;
  v_count numeric;
  v_credits numeric := 0;
  v_cost numeric := 0;
  v_is_known boolean := FALSE;
  v_call call_price;
BEGIN
  FOR v_class, v_value IN SELECT key, value FROM jsonb_each(p_quantities) LOOP
    v_count := CASE jsonb_typeof(v_value) WHEN 'number' THEN v_value::numeric END;
    IF (v_count BETWEEN 0 AND 1000000000 AND v_count = trunc(v_count) AND price_classes(v_class) IS NOT NULL) IS NOT TRUE THEN
      PERFORM refuse('{quantities}', '{f}');
    END IF;
    v_component := component_for(p_components, v_class, p_tier, p_quantities);
    v_credits := v_credits + v_count * coalesce((v_component ->> 'price')::numeric, 0);
    IF v_count > 0 THEN
      v_cost := v_cost + v_count * (v_component ->> 'cost')::numeric;
      IF (v_component ->> 'class') IS DISTINCT FROM v_class AND (v_component ->> 'class') IS DISTINCT FROM 'tokens' THEN
        v_call.fallback_classes := v_call.fallback_classes || v_class::varchar;
      END IF;
    END IF;
    v_is_known := v_is_known OR v_component ->> 'cost' IS NOT NULL;
    IF price_classes(v_class) ? 'tokens' THEN v_call.tokens := coalesce(v_call.tokens, 0) + v_count; END IF;
    IF p_amounts THEN
      v_call.amounts := coalesce(v_call.amounts, '[]') || jsonb_build_object(
        'class', v_class, 'quantity', v_count, 'pricedAs', v_component -> 'class', 'price', v_component -> 'price',
        'credits', trim_scale(v_count * (v_component ->> 'price')::numeric)::text,
        'providerCostUsd', trim_scale(v_count * (v_component ->> 'cost')::numeric)::text);
    END IF;
  END LOOP;
  IF v_class IS NULL OR v_credits > 1000000000000000 THEN PERFORM refuse('{quantities}', '{f}'); END IF;
  v_call.credits := ceil(v_credits);
  v_call.provider_cost_usd := CASE WHEN v_is_known THEN v_cost END;
  RETURN v_call;
END
$$;
