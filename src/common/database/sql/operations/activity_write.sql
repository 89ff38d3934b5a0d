-- Notes a change that the service makes by itself, in its transaction. See write_activity.
CREATE OR REPLACE FUNCTION activity_write(p jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT write_activity(p, coalesce(p ->> 'accountId', ''), p ->> 'action', p ->> 'subject', nullif(p -> 'before', 'null'),
                        nullif(p -> 'after', 'null'))
$$;
