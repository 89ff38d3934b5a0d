-- Makes an API key live that its gateway has opened, and lets the one that it succeeds (p_old, if any) stop after the
-- overlap. Nothing is done unless the outcome is a new ok.
-- Outcomes: ok (the key), ended (it was given up meanwhile, or the old one has ended), idempotency_mismatch.
CREATE OR REPLACE FUNCTION api_key_open(
  p_user varchar, p_id bigint, p_old bigint, p_overlap_seconds integer,
  p_caller varchar, p_key varchar, p_hash bytea, p_sealed text
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  v_answer jsonb;
BEGIN
  PERFORM refuse('{userId,id,oldId,overlapSeconds,"Idempotency-Key",sealed}', ARRAY[
    is_user_id(p_user),
    p_id > 0,
    coalesce(p_old > 0, TRUE),
    coalesce(p_overlap_seconds BETWEEN 0 AND 2592000, p_old IS NULL),
    (p_key IS NULL OR (p_caller IS NOT NULL AND char_length(p_key) BETWEEN 1 AND 255 AND octet_length(p_hash) = 32)),
    (p_sealed IS NULL) = (p_key IS NULL) AND coalesce(char_length(p_sealed) <= 1000, TRUE)]);
  PERFORM api_key_lock(p_user);
  v_answer := remembered_answer(p_caller, p_key, p_hash);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF p_old IS NOT NULL AND api_key_is_live(p_user, p_old) IS NOT TRUE THEN RETURN '{"outcome": "ended"}'; END IF;
  UPDATE api_keys SET gateway_state = 'live', gateway_due_at = expires_at
   WHERE user_id = p_user AND id = p_id AND gateway_state = 'opening';
  IF NOT FOUND THEN RETURN '{"outcome": "ended"}'; END IF;
  IF p_old IS NOT NULL THEN PERFORM api_key_end_after(p_user, p_old, p_overlap_seconds); END IF;
  v_answer := api_key_answer(p_user, p_id) || jsonb_build_object('sealed', p_sealed);
  RETURN remember_answer(p_caller, p_key, p_hash, v_answer);
END
$$;
