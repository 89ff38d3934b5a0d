-- The service that a record is counted under when its operation is counted without a name.
CREATE OR REPLACE FUNCTION counted_service(p_service varchar) RETURNS varchar
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_service IN ('chat', 'chat-streaming') THEN p_service ELSE '' END
$$;
