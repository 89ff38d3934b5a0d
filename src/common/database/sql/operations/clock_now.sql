-- The time by the clock, for statements that change rows: a cluster takes no volatile function in these.
CREATE OR REPLACE FUNCTION clock_now() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT clock_timestamp()
$$;
