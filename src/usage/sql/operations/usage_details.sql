-- A usage record with what each of its classes cost and their exact sum, which was rounded once: by the rule that priced it,
-- which never changes. NULL: there is none, or p_user may not see it: that of another account, unless it is an organisation
-- where the user oversees usage, or has spent it as a member. Without a user, anyone's; with p_account, that account's only.
CREATE OR REPLACE FUNCTION usage_details(p_id bigint, p_user varchar, p_account varchar) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  r usage_records;
  v_amounts jsonb;
BEGIN
  SELECT * INTO r FROM usage_records WHERE id = p_id AND (p_account IS NULL OR account_id = p_account);
  IF NOT FOUND OR p_user <> r.account_id AND NOT EXISTS (
       SELECT FROM members WHERE account_id = r.account_id AND user_id = p_user AND (role <> 'member' OR r.user_id = p_user)) THEN
    RETURN NULL;
  END IF;
  IF r.pricing_rule_id IS NOT NULL AND r.quantities IS NOT NULL THEN
    v_amounts := (price_call(components_of(r.pricing_rule_id), r.quantities, r.service_tier, TRUE)).amounts;
  END IF;
  RETURN json_build_object(
    'record', usage_json(r), 'classes', v_amounts,
    'exactCredits', (SELECT trim_scale(coalesce(sum((a ->> 'credits')::numeric), 0))::text
                       FROM jsonb_array_elements(v_amounts) a HAVING v_amounts IS NOT NULL));
END
$$;
