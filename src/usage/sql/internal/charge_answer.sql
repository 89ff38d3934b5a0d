-- A charge as the service answers it: the record, and the balance after it.
CREATE OR REPLACE FUNCTION charge_answer(p_record usage_records) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('outcome', 'ok', 'record', usage_answer(p_record) - 'outcome',
                            'totalCredits', p_record.balance_after)
$$;
