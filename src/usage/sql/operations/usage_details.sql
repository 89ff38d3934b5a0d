-- A usage record with what each of its classes cost and their exact sum, which was rounded once: by the rule that priced it,
-- which never changes. NULL: there is none, or p_user may not see it: that of another account, unless it is an organisation
-- where the user oversees usage, or has spent it as a member. Without a user, anyone's; with p_account, that account's only.
CREATE OR REPLACE FUNCTION usage_details(p_id bigint, p_user varchar, p_account varchar) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN (SELECT json_build_object(
      'record', usage_json(r), 'classes', c.amounts,
      'exactCredits', (SELECT trim_scale(coalesce(sum((a ->> 'credits')::numeric), 0))::text
                         FROM jsonb_array_elements(c.amounts) a HAVING c.amounts IS NOT NULL))
      FROM usage_records r
     CROSS JOIN LATERAL (SELECT CASE WHEN r.pricing_rule_id IS NOT NULL AND r.quantities IS NOT NULL THEN
       (price_call(components_of(r.pricing_rule_id), r.quantities, r.service_tier, TRUE)).amounts END AS amounts) c
     WHERE r.id = p_id AND (p_account IS NULL OR r.account_id = p_account)
       AND (p_user IS NULL OR r.account_id = p_user OR EXISTS (
         SELECT FROM members m WHERE m.account_id = r.account_id AND m.user_id = p_user
            AND (m.role <> 'member' OR r.user_id = p_user))));
END
$$;
