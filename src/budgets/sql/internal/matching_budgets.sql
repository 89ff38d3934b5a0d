-- The budgets that a call of a user counts for, each with its period at one moment, as far as that has begun, and with what
-- still fits it: anything where it is soft, and not NULL, because places of sessions are kept there too. room includes what
-- has ended of its raises and is not noted yet. p_path are the ids of the user's unit and of those above it, p_line the first
-- API key of the line that the call is made with, p_models the names of its model. Of budgets for models and tags only those
-- count that the call names.
-- Written so that the planner inlines it: what a caller does not use costs nothing.
CREATE OR REPLACE FUNCTION matching_budgets(
  p_account varchar, p_user varchar, p_path bigint[], p_line bigint, p_models varchar[], p_tags jsonb, p_at timestamptz
) RETURNS TABLE (
  budget_id bigint, unit varchar, mode varchar, member varchar, period_id bigint, period_row tid, room bigint, has_ended_raise boolean, ended bigint
)
LANGUAGE sql STABLE AS $$
  SELECT b.id, b.unit, b.mode, CASE WHEN b.scope = 'each_member' THEN p_user ELSE '' END, p.id, p.place,
         CASE b.mode WHEN 'hard' THEN b.amount + coalesce(p.raised - p.used - p.held, 0) ELSE 9223372036854775807 END,
         p.raised_until <= p_at, CASE WHEN p.raised_until <= p_at THEN p.raised - budget_raised(p_account, p.id, p_at) ELSE 0 END
    FROM budgets b
    LEFT JOIN LATERAL (
      SELECT id, ctid AS place, ends_at, raised, raised_until, used, held FROM budget_periods
       WHERE account_id = p_account AND budget_periods.budget_id = b.id
         AND user_id = CASE WHEN b.scope = 'each_member' THEN p_user ELSE '' END AND starts_at <= p_at
       ORDER BY starts_at DESC LIMIT 1) p ON p.ends_at > p_at
   WHERE b.account_id = p_account AND b.deleted_at IS NULL
     AND b.applies_to = ANY (budget_scopes(p_user, p_path, p_line, p_models, p_tags))
     AND (b.applies_to <> 'model:*' OR strpos(E'\n' || array_to_string(p_models, E'\n'), E'\n' || left(b.scope_id, -1)) > 0)
$$;
