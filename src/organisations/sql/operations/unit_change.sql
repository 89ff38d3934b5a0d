-- Changes of a unit what changes has: name, parentId (null: to the top). All units below it move with it.
-- Outcomes: ok (the unit), not_found, role_required, archived, unit_not_found, parent_not_found, cycle, too_deep, name_taken.
CREATE OR REPLACE FUNCTION unit_change(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  c_levels CONSTANT integer := 5;
  p_actor varchar := p ->> 'actorId';
  p_supervises boolean := p ->> 'supervises';
  p_id bigint := p ->> 'id';
  p_changes jsonb := p -> 'changes';
  v_name varchar := p_changes ->> 'name';
  v_parent bigint := p_changes ->> 'parentId';
  v_access record;
  v_above bigint[] := '{}';
  v_levels integer;
  v_before jsonb;
  u units;
BEGIN
  PERFORM refuse('{accountId,actorId,supervises,id,changes,name,parentId}', ARRAY[
    is_account_id(p_account),
    is_user_id(p_actor),
    p_supervises IS NOT NULL,
    p_id > 0,
    jsonb_typeof(p_changes) = 'object',
    coalesce(is_id(v_name, 100), NOT p_changes ? 'name'),
    coalesce(v_parent > 0, TRUE)]);
  v_access := organisation_enter(p_account, p_actor, p_supervises, '{owner,admin,supervisor}');
  IF v_access.refusal IS NOT NULL THEN RETURN jsonb_build_object('outcome', v_access.refusal); END IF;
  SELECT * INTO u FROM units WHERE account_id = p_account AND id = p_id;
  IF NOT FOUND THEN RETURN '{"outcome": "unit_not_found"}'; END IF;
  v_name := coalesce(v_name, u.name);
  IF NOT p_changes ? 'parentId' THEN v_parent := u.parent_id; END IF;
  IF v_parent IS NOT NULL THEN
    SELECT path INTO v_above FROM units WHERE account_id = p_account AND id = v_parent;
    IF NOT FOUND THEN RETURN '{"outcome": "parent_not_found"}'; END IF;
  END IF;
  IF p_id = ANY (v_above) THEN RETURN '{"outcome": "cycle"}'; END IF;
  -- Of the unit and all below it.
  SELECT max(cardinality(path)) - cardinality(u.path) + 1 INTO v_levels
    FROM units WHERE account_id = p_account AND p_id = ANY (path);
  IF cardinality(v_above) + v_levels > c_levels THEN RETURN '{"outcome": "too_deep"}'; END IF;
  IF unit_name_is_taken(p_account, v_parent, v_name, p_id) THEN RETURN '{"outcome": "name_taken"}'; END IF;
  v_before := unit_answer(p_account, p_id);
  UPDATE units SET name = v_name, parent_id = v_parent WHERE account_id = p_account AND id = p_id;
  IF v_parent IS DISTINCT FROM u.parent_id THEN
    UPDATE units SET path = v_above || path[cardinality(u.path):] WHERE account_id = p_account AND p_id = ANY (path);
  END IF;
  PERFORM write_activity(p, p_account, 'unit.changed', p_id::text, v_before, unit_answer(p_account, p_id));
  RETURN unit_answer(p_account, p_id);
END
$$;
