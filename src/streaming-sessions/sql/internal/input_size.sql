-- The size of a prompt: n has 4^n tokens up to 4^(n + 1) - 1. 0 where there are none.
CREATE OR REPLACE FUNCTION input_size(p_tokens numeric) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT floor(ln(greatest(p_tokens, 1)::float8) / ln(4::float8) + 1e-9)::smallint
$$;
