-- Renames an organisation. The same name again changes nothing.
-- Outcomes: ok (the organisation), not_found, role_required, archived.
CREATE OR REPLACE FUNCTION organisation_rename(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  p_name varchar := p ->> 'name';
  v_access record;
  v_before jsonb;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises,name}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL,
    is_id(p_name, 100)]);
  v_access := organisation_enter(p_account, p_actor, p_supervises, '{owner,admin,supervisor}');
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  v_before := organisation_answer(p_account);
  UPDATE organisations SET name = p_name WHERE account_id = p_account AND name <> p_name;
  IF FOUND THEN PERFORM write_event(p_account, 'organisation.renamed', jsonb_build_object('name', p_name)); END IF;
  PERFORM write_activity(p, p_account, 'organisation.renamed', p_account, v_before, organisation_answer(p_account));
  RETURN organisation_answer(p_account);
END
$$;
