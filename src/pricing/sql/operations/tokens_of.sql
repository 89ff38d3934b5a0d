-- How many tokens of every class a call has used.
CREATE OR REPLACE FUNCTION tokens_of(p_quantities jsonb) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT coalesce(sum(value::numeric), 0)::bigint FROM jsonb_each(p_quantities) WHERE price_classes(key) ? 'tokens'
$$;
