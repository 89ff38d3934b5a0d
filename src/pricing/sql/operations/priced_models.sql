-- The places of those models in a list that had a price at their instants, or now if these are still to come: any but the
-- fallback.
CREATE OR REPLACE FUNCTION priced_models(p_models varchar[], p_at timestamptz[]) RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT m.place FROM unnest(p_models, p_at) WITH ORDINALITY AS m (model_id, at, place)
   WHERE (rule_for(m.model_id, least(m.at, now()))).source <> 'fallback'
$$;
