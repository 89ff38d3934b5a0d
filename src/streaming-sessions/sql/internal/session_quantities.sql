-- What a session that was not finalized has used when it has generated p_generated tokens. One that was estimated by classes
-- has used its estimated input as soon as anything was generated, and nothing before.
CREATE OR REPLACE FUNCTION session_quantities(s streaming_sessions, p_generated bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN s.estimated_tokens IS NOT NULL THEN jsonb_build_object('tokens', p_generated)
    ELSE jsonb_build_object('input', CASE WHEN p_generated > 0 THEN s.estimated_input_tokens ELSE 0 END, 'output', p_generated)
  END
$$;
