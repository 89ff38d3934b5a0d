-- Archives an organisation that has no active sessions, and revokes its API keys. Again it changes nothing.
-- Outcomes: ok (the organisation), not_found, role_required, sessions_active.
CREATE OR REPLACE FUNCTION organisation_archive(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  v_access record;
  v_before jsonb;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL]);
  v_access := organisation_enter(p_account, p_actor, p_supervises, '{owner,supervisor}');
  IF v_access.refusal = 'archived' THEN RETURN organisation_answer(p_account); END IF;
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  IF EXISTS (SELECT FROM streaming_sessions WHERE account_id = p_account AND status = 'active') THEN
    RETURN '{"outcome": "sessions_active"}';
  END IF;
  v_before := organisation_answer(p_account);
  UPDATE organisations SET archived_at = clock_now() WHERE account_id = p_account;
  PERFORM organisation_revoke_keys(p_account, NULL);
  PERFORM write_event(p_account, 'organisation.archived', jsonb_build_object('name', name))
     FROM organisations WHERE account_id = p_account;
  PERFORM write_activity(p, p_account, 'organisation.archived', p_account, v_before, organisation_answer(p_account));
  RETURN organisation_answer(p_account);
END
$$;
