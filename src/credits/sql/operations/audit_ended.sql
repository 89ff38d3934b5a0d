-- Notes how many differences an audit of all accounts has found, for the metrics of every instance.
CREATE OR REPLACE FUNCTION audit_ended(p_differences bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE last_audit SET ended_at = clock_now(), differences = p_differences;
END
$$;
