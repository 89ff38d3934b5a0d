-- The service that a record is counted under when its operation is counted without a name: that of a chat of whatever
-- outcome, or ''. The only place that lists the services of chats.
CREATE OR REPLACE FUNCTION counted_service(p_service varchar) RETURNS varchar
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_service IN ('chat', 'chat-streaming', 'chat-streaming-failed', 'chat-streaming-aborted',
                                 'chat-streaming-timeout') THEN p_service ELSE '' END
$$;
