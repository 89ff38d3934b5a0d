-- The newest event that can be read, and the last id that was ever given: ids stay given when their events are forgotten,
-- and those of a publisher that has not committed are given already.
CREATE OR REPLACE FUNCTION events_newest() RETURNS TABLE (newest bigint, given bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT coalesce((SELECT max(id) FROM events), 0),
         (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_id_seq)
$$;
