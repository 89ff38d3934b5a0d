-- What a charge returns: the record, what is left after it, and whether the reported cost differs from ours by more than 1 %.
CREATE OR REPLACE FUNCTION charge_answer(r usage_records) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'outcome', 'ok', 'record', usage_json(r)::jsonb, 'totalCredits', r.remaining_after_charge,
    'costDiffers', coalesce(abs(r.provider_cost_usd - r.computed_cost_usd) > 0.01 * r.computed_cost_usd, FALSE))
$$;
