-- The size of an answer: n has at most 2^(n / 8) tokens, and more than the size before, about 9 % less.
CREATE OR REPLACE FUNCTION output_size(p_tokens numeric) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ceil(8 * ln(greatest(p_tokens, 1)::float8) / ln(2::float8) - 1e-9)::smallint
$$;
