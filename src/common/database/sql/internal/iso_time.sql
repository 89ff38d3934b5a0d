-- A time as answers and events contain it: ISO 8601 in UTC with milliseconds, whatever the session's settings.
CREATE OR REPLACE FUNCTION iso_time(p_time timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
