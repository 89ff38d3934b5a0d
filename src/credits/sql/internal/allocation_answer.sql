-- A lot as operations return it.
CREATE OR REPLACE FUNCTION allocation_answer(p_lot credit_allocations) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'outcome', 'ok', 'id', p_lot.id, 'accountId', p_lot.account_id, 'userId', p_lot.account_id,
    'totalCredits', p_lot.total_credits, 'remainingCredits', p_lot.remaining_credits,
    'allocatedBy', p_lot.allocated_by, 'allocatedAt', p_lot.allocated_at, 'expiresAt', p_lot.expires_at,
    'notes', p_lot.notes)
$$;
