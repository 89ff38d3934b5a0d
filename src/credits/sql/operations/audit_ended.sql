-- Notes how many differences an audit of all accounts has found, for the metrics of every instance.
CREATE OR REPLACE FUNCTION audit_ended(p_differences bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  UPDATE last_audit SET ended_at = clock_timestamp(), differences = p_differences
$$;
