-- Who estimated the output of a session: its caller, the service by what it has learned of the model, or none: it is the
-- declared maximum.
CREATE OR REPLACE FUNCTION estimate_source(s streaming_sessions) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN s.max_output_tokens IS NULL THEN 'caller'
              WHEN s.estimated_output_tokens < s.max_output_tokens THEN 'learned' ELSE 'ceiling' END
$$;
