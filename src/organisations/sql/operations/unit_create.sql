-- Creates a unit of an organisation, at the top or under a parent: at most 1,000 units, on 5 levels.
-- Outcomes: ok (the unit), not_found, role_required, archived, parent_not_found, too_deep, name_taken, too_many_units,
-- idempotency_mismatch.
CREATE OR REPLACE FUNCTION unit_create(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  c_most CONSTANT integer := 1000;
  c_levels CONSTANT integer := 5;
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  p_name varchar := p ->> 'name';
  p_parent bigint := p ->> 'parentId';
  v_access record;
  v_above bigint[] := '{}';
  v_id bigint;
  v_answer jsonb;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises,name,parentId,"Idempotency-Key"}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL,
    is_id(p_name, 100),
    coalesce(p_parent > 0, TRUE),
    is_idempotency(p)]);
  v_access := organisation_enter(p_account, p_actor, p_supervises, '{owner,admin,supervisor}');
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF p_parent IS NOT NULL THEN
    SELECT path INTO v_above FROM units WHERE account_id = p_account AND id = p_parent;
    IF NOT FOUND THEN RETURN '{"outcome": "parent_not_found"}'; END IF;
  END IF;
  IF cardinality(v_above) >= c_levels THEN RETURN '{"outcome": "too_deep"}'; END IF;
  IF unit_name_is_taken(p_account, p_parent, p_name, NULL) THEN RETURN '{"outcome": "name_taken"}'; END IF;
  IF (SELECT count(*) FROM units WHERE account_id = p_account) >= c_most THEN
    RETURN '{"outcome": "too_many_units"}';
  END IF;
  INSERT INTO units (account_id, id, parent_id, name, path) OVERRIDING SYSTEM VALUE
  SELECT p_account, id, p_parent, p_name, v_above || id FROM nextval('units_id_seq') AS id
  RETURNING id INTO v_id;
  PERFORM write_activity(p, p_account, 'unit.created', v_id::text, NULL, unit_answer(p_account, v_id));
  RETURN keep_answer(p, unit_answer(p_account, v_id));
END
$$;
