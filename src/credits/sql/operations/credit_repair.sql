-- Sets an account's balance to what its lots and active sessions add up to, and its budgets to what sessions and records
-- say. Corrects the ledger: one entry for each lot whose entries add up to something else, and one of 0 that notes what the
-- balance was. Changes nothing when all agrees. Returns the available and held credits before and after. Outcomes: ok,
-- user_not_found.
CREATE OR REPLACE FUNCTION credit_repair(p_account varchar, p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  p_actor varchar := p ->> 'actor';
  v_lock account_lock;
  v_available bigint;
  v_held bigint;
  v_next_expiry timestamptz;
  v_chain bigint;
  v_entry bigint;
  v_lot record;
BEGIN
  PERFORM refuse('{accountId,actor}', ARRAY[
    is_account_id(p_account),
    char_length(p_actor) BETWEEN 1 AND 64]);
  -- Not lock_account: that would expire lots of a balance that may be wrong.
  SELECT account_id, available, held, next_expiry, low_threshold, last_event, has_budgets, last_entry INTO v_lock
    FROM credit_balances WHERE account_id = p_account FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN '{"outcome": "user_not_found"}'; END IF;
  v_lock.locked_at := clock_timestamp();
  SELECT coalesce(sum(remaining_credits), 0), min(expires_at) FILTER (WHERE is_open)
    INTO v_available, v_next_expiry FROM credit_allocations WHERE account_id = p_account;
  SELECT coalesce(sum(allocated_credits), 0) INTO v_held
    FROM streaming_sessions WHERE account_id = p_account AND status = 'active';
  SELECT balance_after, id INTO v_chain, v_entry FROM credit_ledger WHERE account_id = p_account ORDER BY id DESC LIMIT 1;
  v_chain := coalesce(v_chain, 0);
  v_entry := greatest(v_entry, v_lock.last_entry);
  FOR v_lot IN
    SELECT l.id, l.remaining_credits - coalesce(sum(e.credits), 0) AS missing
      FROM credit_allocations l
      LEFT JOIN credit_ledger e ON e.account_id = l.account_id AND e.allocation_id = l.id
     WHERE l.account_id = p_account GROUP BY l.id, l.remaining_credits
    HAVING l.remaining_credits <> coalesce(sum(e.credits), 0) ORDER BY l.id
  LOOP
    v_chain := v_chain + v_lot.missing;
    v_entry := next_entry(v_entry);
    INSERT INTO credit_ledger (account_id, id, kind, credits, balance_after, allocation_id, actor, notes, created_at)
    OVERRIDING SYSTEM VALUE
    VALUES (p_account, v_entry, 'correction', v_lot.missing, greatest(v_chain, 0), v_lot.id, p_actor,
            'The ledger did not add up to this lot', v_lock.locked_at);
  END LOOP;
  IF (v_lock.available, v_lock.held) <> (v_available, v_held) OR v_chain <> v_available THEN
    v_entry := next_entry(v_entry);
    INSERT INTO credit_ledger (account_id, id, kind, credits, balance_after, actor, notes, created_at)
    OVERRIDING SYSTEM VALUE
    VALUES (p_account, v_entry, 'correction', 0, v_available, p_actor,
            format('The balance said %s available and %s held', v_lock.available, v_lock.held), v_lock.locked_at);
  END IF;
  PERFORM apply_balance(v_lock, v_available, v_held, v_next_expiry, v_entry);
  -- Added up once for all periods: an organisation has thousands.
  WITH held AS (
    SELECT period_id, sum(allocated_credits) AS credits, sum(held_tokens) AS tokens, count(*) AS requests
      FROM streaming_sessions CROSS JOIN unnest(periods) AS began (period_id)
     WHERE account_id = p_account AND status = 'active' GROUP BY 1
  ), used AS (
    SELECT period_id, sum(credits - uncollected_credits) AS credits, sum(tokens_of(quantities)) AS tokens, count(*) AS requests
      FROM usage_records CROSS JOIN unnest(periods) AS began (period_id)
     WHERE account_id = p_account GROUP BY 1
  )
  UPDATE budget_periods p
     SET open_sessions = coalesce(h.requests, 0),
         held = coalesce(CASE WHEN p.unit = 'credits' THEN h.credits WHEN p.unit = 'tokens' THEN h.tokens ELSE h.requests END, 0),
         used = coalesce(CASE WHEN p.unit = 'credits' THEN u.credits WHEN p.unit = 'tokens' THEN u.tokens
                                     WHEN p.unit = 'requests' THEN u.requests END, 0)
    FROM budget_periods q LEFT JOIN held h ON h.period_id = q.id LEFT JOIN used u ON u.period_id = q.id
   WHERE q.account_id = p_account AND p.account_id = p_account AND p.id = q.id;
  -- A raise that has ended counts until a call notes its end (budget_alerts).
  UPDATE budget_periods p SET raised = r.raised, raised_until = r.until
    FROM (SELECT q.id, coalesce(sum(r.amount), 0) AS raised, min(r.until) AS until
            FROM budget_periods q
            LEFT JOIN budget_raises r ON r.account_id = p_account AND r.period_id = q.id
                  AND (r.until IS NULL OR r.until >= q.raised_until OR r.until > v_lock.locked_at)
           WHERE q.account_id = p_account GROUP BY q.id) r
   WHERE p.account_id = p_account AND p.id = r.id
     AND (p.raised, p.raised_until) IS DISTINCT FROM (r.raised, r.until);
  DELETE FROM session_places WHERE account_id = p_account;
  INSERT INTO session_places (account_id, period_id, session, expires_at)
  SELECT p_account, p.id, s.id, s.expires_at
    FROM streaming_sessions s CROSS JOIN unnest(s.periods) AS began (period_id)
    JOIN budget_periods p ON p.account_id = p_account AND p.id = began.period_id AND p.unit = 'sessions'
   WHERE s.account_id = p_account AND s.status = 'active';
  UPDATE credit_balances SET has_budgets = TRUE
   WHERE account_id = p_account AND NOT has_budgets
     AND EXISTS (SELECT FROM budgets WHERE account_id = p_account AND deleted_at IS NULL AND NOT is_key_limit);
  PERFORM write_activity(p, p_account, 'balance.repaired', p_account,
                         jsonb_build_object('availableCredits', v_lock.available, 'heldCredits', v_lock.held),
                         jsonb_build_object('availableCredits', v_available, 'heldCredits', v_held));
  RETURN jsonb_build_object('outcome', 'ok', 'availableBefore', v_lock.available, 'available', v_available,
                            'heldBefore', v_lock.held, 'held', v_held);
END
$$;
