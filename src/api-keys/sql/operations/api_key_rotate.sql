-- Creates a successor of an API key with the same name, permissions, expiry and budget. The old key stops after the
-- overlap; one for a gateway stays as it is until api_key_open. Both count for the user's limit while both work.
-- Outcomes: ok (the successor), not_found, not_a_member (its user no longer is one), ended, rotated (it has a successor),
-- too_many, idempotency_mismatch.
CREATE OR REPLACE FUNCTION api_key_rotate(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id bigint := p ->> 'id';
  p_digest varchar := p ->> 'digest';
  p_hint varchar := p ->> 'hint';
  p_overlap_seconds integer := p ->> 'overlapSeconds';
  p_sealed text := p ->> 'sealed';
  v_answer jsonb;
  v_id bigint;
  k api_keys;
BEGIN
  PERFORM refuse('{accountId,id,digest,hint,overlapSeconds,"Idempotency-Key",sealed}', ARRAY[
    is_account_id(p_account),
    p_id > 0,
    p_digest ~ '^[0-9a-f]{64}$',
    char_length(p_hint) BETWEEN 1 AND 20,
    p_overlap_seconds BETWEEN 0 AND 2592000,
    is_idempotency(p),
    (p_sealed IS NULL) = (p ->> 'idempotencyKey' IS NULL) AND coalesce(char_length(p_sealed) <= 1000, TRUE)]);
  PERFORM api_key_lock(p_account);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  SELECT * INTO k FROM api_keys WHERE account_id = p_account AND id = p_id;
  IF NOT FOUND THEN RETURN '{"outcome": "not_found"}'; END IF;
  IF NOT api_key_may_have(p_account, k.user_id) THEN RETURN '{"outcome": "not_a_member"}'; END IF;
  IF NOT api_key_is_live(p_account, p_id) THEN RETURN '{"outcome": "ended"}'; END IF;
  -- Another one would end with the overlap: the expiry of this key is no longer its own.
  IF k.is_rotated THEN RETURN '{"outcome": "rotated"}'; END IF;
  v_id := api_key_insert(p_account, k.user_id, p_digest, p_hint, k.name, k.permissions, k.expires_at, NULL,
                         coalesce(k.budget_key_id, k.id), k.gateway, k.gateway_settings,
                         CASE WHEN k.gateway IS NULL AND p_overlap_seconds = 0 THEN p_id END);
  IF v_id IS NULL THEN RETURN '{"outcome": "too_many"}'; END IF;
  IF k.gateway IS NULL THEN PERFORM api_key_end_after(p_account, p_id, p_overlap_seconds); END IF;
  v_answer := api_key_answer(p_account, v_id) || jsonb_build_object('sealed', p_sealed);
  IF k.gateway IS NULL THEN
    PERFORM write_activity(p, p_account, 'api_key.rotated', p_id::text, NULL,
                           v_answer || jsonb_build_object('overlapSeconds', p_overlap_seconds));
  END IF;
  RETURN CASE WHEN k.gateway IS NULL THEN keep_answer(p, v_answer) ELSE v_answer END;
END
$$;
