-- Whether a request has no idempotency key, or one with its caller and the SHA-256 of what was asked.
CREATE OR REPLACE FUNCTION is_idempotency(p jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT p ->> 'idempotencyKey' IS NULL
      OR char_length(p ->> 'callerId') BETWEEN 1 AND 64 AND char_length(p ->> 'idempotencyKey') BETWEEN 1 AND 255
     AND p ->> 'requestHash' ~ '^[0-9a-f]{64}$'
$$;
