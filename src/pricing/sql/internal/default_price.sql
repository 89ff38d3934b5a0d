-- The price of a model that has no rule: the built-in default, else 1 credit per 1,000 tokens.
CREATE OR REPLACE FUNCTION default_price(p_model varchar) RETURNS price
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_price price;
BEGIN
  v_price.price := CASE p_model
    WHEN 'anthropic.claude-3-sonnet-20240229-v1:0' THEN 3
    WHEN 'anthropic.claude-3-haiku-20240307-v1:0' THEN 0.25
    WHEN 'anthropic.claude-instant-v1' THEN 0.8
    WHEN 'amazon.titan-text-express-v1' THEN 0.3
  END;
  v_price.source := CASE WHEN v_price.price IS NULL THEN 'fallback' ELSE 'default' END;
  v_price.price := coalesce(v_price.price, 1);
  RETURN v_price;
END
$$;
