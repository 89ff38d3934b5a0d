-- Notes a change in the activity log, in the change's own transaction: p has who made it and from where (origin). Neither
-- p_before nor p_after has a secret. What changes by itself, and what is the same in both, is left out; where nothing
-- differs, nothing is noted. Without an origin the caller is a program that uses the operation directly. p_account '': the
-- change belongs to no account.
CREATE OR REPLACE FUNCTION write_activity(
  p jsonb, p_account varchar, p_action varchar, p_subject text, p_before jsonb, p_after jsonb
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  c_not_set CONSTANT text[] := '{outcome,sealed,replayed,secondsLeft,lastUsed,creditsUsed,creditsHeld,limit,used,
                                 held,left,startsAt,resetsAt,countsFrom,accountCreated}';
  v_before jsonb := p_before - c_not_set;
  v_after jsonb := p_after - c_not_set;
  v_origin jsonb := coalesce(p -> 'origin', jsonb_build_object(
    'actor', coalesce(p ->> 'actor', p ->> 'actorId'), 'role', 'service'));
  v_same text[];
BEGIN
  PERFORM refuse('{origin,accountId,action,subject}', ARRAY[
    char_length(v_origin ->> 'actor') BETWEEN 1 AND 64 AND v_origin ->> 'role' IN ('user', 'supervisor', 'admin', 'service'),
    p_account = '' OR is_account_id(p_account),
    p_action ~ '^[a-z_]{1,20}[.][a-z_]{1,20}$',
    char_length(p_subject) BETWEEN 1 AND 200]);
  IF v_before IS NOT NULL AND v_after IS NOT NULL THEN
    SELECT coalesce(array_agg(key), '{}') INTO v_same FROM jsonb_each(v_before) WHERE v_after -> key = value;
    v_before := v_before - v_same;
    v_after := v_after - v_same;
    IF v_before = '{}' AND v_after = '{}' THEN RETURN; END IF;
  END IF;
  INSERT INTO activity (account_id, action, subject, actor, actor_role, address, request_id, before, after)
  VALUES (p_account, p_action, p_subject, v_origin ->> 'actor', v_origin ->> 'role', left(v_origin ->> 'address', 45),
          left(v_origin ->> 'requestId', 200), v_before, v_after);
END
$$;
