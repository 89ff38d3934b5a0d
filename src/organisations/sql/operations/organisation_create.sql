-- Creates an organisation (id) whose owner is the user of accountId: the idempotency key is kept with that user's own
-- account, because the id may follow from the name.
-- Outcomes: ok (the organisation), id_taken, too_many (as hasTooMany says: no statement here looks at other accounts),
-- idempotency_mismatch.
CREATE OR REPLACE FUNCTION organisation_create(p_owner varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
  p_id varchar := p ->> 'id';
  p_name varchar := p ->> 'name';
  p_has_too_many boolean := p ->> 'hasTooMany';
  v_answer jsonb;
BEGIN
  PERFORM refuse('{accountId,id,name,hasTooMany,"Idempotency-Key"}', ARRAY[
    is_user_id(p_owner),
    p_id ~ '^org:[a-z0-9][a-z0-9-]{0,40}$',
    is_id(p_name, 100),
    p_has_too_many IS NOT NULL,
    is_idempotency(p)]);
  v_answer := earlier_answer(p);
  IF v_answer IS NOT NULL THEN RETURN v_answer; END IF;
  IF p_has_too_many THEN RETURN '{"outcome": "too_many"}'; END IF;
  INSERT INTO credit_balances (account_id) VALUES (p_id) ON CONFLICT (account_id) DO NOTHING;
  INSERT INTO organisations (account_id, name, created_by) VALUES (p_id, p_name, p_owner)
  ON CONFLICT (account_id) DO NOTHING;
  -- The same request on another instance may have taken it meanwhile.
  IF NOT FOUND THEN RETURN coalesce(earlier_answer(p), '{"outcome": "id_taken"}'); END IF;
  INSERT INTO members (account_id, user_id, role, added_by) VALUES (p_id, p_owner, 'owner', p_owner);
  PERFORM write_event(p_id, 'organisation.created', jsonb_build_object('name', p_name));
  PERFORM write_activity(p, p_id, 'organisation.created', p_id, NULL, organisation_answer(p_id));
  RETURN keep_answer(p, organisation_answer(p_id));
END
$$;
