-- Makes an API key live that its gateway has opened, and lets the one that it succeeds (oldId, if any) stop after the
-- overlap. Nothing is done unless the outcome is a new ok.
-- Outcomes: ok (the key), ended (it was given up meanwhile, or the old one has ended), rotated (the old one has another
-- successor), idempotency_mismatch.
CREATE OR REPLACE FUNCTION api_key_open(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id bigint := p ->> 'id';
  p_old bigint := p ->> 'oldId';
  p_overlap_seconds integer := p ->> 'overlapSeconds';
  p_sealed text := p ->> 'sealed';
  v_answer jsonb;
  v_now timestamptz := clock_timestamp();
BEGIN
  PERFORM refuse('{accountId,id,oldId,overlapSeconds,"Idempotency-Key",sealed}', ARRAY[
    is_account_id(p_account),
    p_id > 0,
    coalesce(p_old > 0, TRUE),
    coalesce(p_overlap_seconds BETWEEN 0 AND 2592000, p_old IS NULL),
    is_idempotency(p),
    (p_sealed IS NULL) = (p ->> 'idempotencyKey' IS NULL) AND coalesce(char_length(p_sealed) <= 1000, TRUE)]);
  PERFORM api_key_lock(p_account);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF p_old IS NOT NULL THEN
    IF api_key_is_live(p_account, p_old) IS NOT TRUE THEN RETURN '{"outcome": "ended"}'; END IF;
    IF (SELECT is_rotated FROM api_keys WHERE account_id = p_account AND id = p_old) THEN
      RETURN '{"outcome": "rotated"}';
    END IF;
  END IF;
  -- The limit of a line may have changed since the gateway was given it with the successor.
  UPDATE api_keys
     SET gateway_state = 'live',
         gateway_due_at = CASE WHEN budget_key_id IS NULL THEN expires_at ELSE v_now END
   WHERE account_id = p_account AND id = p_id AND gateway_state = 'opening';
  IF NOT FOUND THEN RETURN '{"outcome": "ended"}'; END IF;
  IF p_old IS NOT NULL THEN PERFORM api_key_end_after(p_account, p_old, p_overlap_seconds); END IF;
  PERFORM write_activity(
    p, p_account, CASE WHEN p_old IS NULL THEN 'api_key.created' ELSE 'api_key.rotated' END, coalesce(p_old, p_id)::text, NULL,
    api_key_answer(p_account, p_id) || jsonb_build_object('overlapSeconds', p_overlap_seconds));
  v_answer := api_key_answer(p_account, p_id) || jsonb_build_object('sealed', p_sealed);
  RETURN keep_answer(p, v_answer);
END
$$;
