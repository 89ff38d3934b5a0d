-- What a charge returns: the record, and the balance after it.
CREATE OR REPLACE FUNCTION charge_answer(r usage_records) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('outcome', 'ok', 'record', usage_json(r)::jsonb, 'totalCredits', r.balance_after)
$$;
