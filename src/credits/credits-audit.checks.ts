/** One law of the books: what is compared, and what a difference means. */
export interface AuditCheck {
  name: string;
  explanation: string;
  /**
   * Differences of the users in `users`: account_id, the thing at fault (allocation_id, session_id, usage_id, entry_id,
   * period_id; NULL where it is none of these), what the books say otherwise (expected) and what stands there (actual).
   */
  query: string;
}

/** `lot`, `session` … as columns of a difference; what is not given is NULL. */
function subject(
  given: Partial<Record<'allocation_id' | 'session_id' | 'usage_id' | 'entry_id' | 'period_id', string>>,
) {
  const bigints = ['allocation_id', 'usage_id', 'entry_id', 'period_id'] as const;
  const columns = bigints.map((column) => `${given[column] ?? 'NULL'}::bigint AS ${column}`);
  return [...columns, `${given.session_id ?? 'NULL'}::varchar AS session_id`].join(', ');
}

const NOTHING = subject({});

const TAKEN_BY_SESSION = '(SELECT coalesce(sum(c), 0) FROM unnest(s.held_credits) c)';

/**
 * Each period of a budget beside the active sessions that began in it, or the records of its calls; credit_repair.sql has
 * the same. A row is a period, with its unit and counters, or a call, with what it counts in each unit.
 */
const HELD_IN_PERIODS = `
  SELECT p.account_id, p.id AS period_id, p.unit, p.held, p.open_sessions, 0 AS credits, 0 AS tokens, 0 AS calls
    FROM users u JOIN budget_periods p ON p.account_id = u.account_id
  UNION ALL
  SELECT s.account_id, began.period_id, NULL, 0, 0, s.allocated_credits, s.held_tokens, 1
    FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status = 'active'
   CROSS JOIN unnest(s.periods) AS began (period_id)`;
const USED_IN_PERIODS = `
  SELECT p.account_id, p.id AS period_id, p.unit, p.used, 0 AS credits, 0 AS tokens, 0 AS calls
    FROM users u JOIN budget_periods p ON p.account_id = u.account_id
  UNION ALL
  SELECT r.account_id, began.period_id, NULL, 0, r.credits - r.uncollected_credits, tokens_of(r.quantities), 1
    FROM users u JOIN usage_records r ON r.account_id = u.account_id
   CROSS JOIN unnest(r.periods) AS began (period_id)`;

/**
 * The books' laws, each as a query over one batch of users; it runs in one statement and so in one snapshot, and what
 * moves meanwhile is no difference. Lots that have expired and are not yet written off still count everywhere.
 * Where a user may have many of both sides they are put together and grouped, not joined: the planner takes everyone for
 * an ordinary user, and its nested loops would take hours over a hundred thousand sessions.
 */
export const AUDIT_CHECKS: AuditCheck[] = [
  {
    name: 'available = lots',
    explanation: 'The cached balance is not what the lots hold. A repair sets it to that.',
    query: `
      SELECT u.account_id, ${NOTHING}, coalesce(sum(l.remaining_credits), 0) AS expected, u.available AS actual
        FROM users u LEFT JOIN credit_allocations l ON l.account_id = u.account_id
       GROUP BY u.account_id, u.available`,
  },
  {
    name: 'available = ledger',
    explanation: 'The cached balance is not what the ledger adds up to.',
    query: `
      SELECT u.account_id, ${NOTHING}, coalesce(sum(e.credits), 0) AS expected, u.available AS actual
        FROM users u LEFT JOIN credit_ledger e ON e.account_id = u.account_id
       GROUP BY u.account_id, u.available`,
  },
  {
    name: 'available = last balanceAfter',
    explanation: 'The last ledger entry has another balance than the cache.',
    query: `
      SELECT u.account_id, ${subject({ entry_id: 'e.id' })}, coalesce(e.balance_after, 0) AS expected, u.available AS actual
        FROM users u LEFT JOIN LATERAL (
          SELECT id, balance_after FROM credit_ledger WHERE account_id = u.account_id ORDER BY id DESC LIMIT 1) e ON TRUE`,
  },
  {
    name: 'balanceAfter is a gapless chain',
    explanation:
      'An entry has a balance that does not follow from the entry before: one is missing, or was changed. After a repair ' +
      'of the balance the chain begins anew.',
    query: `
      SELECT account_id, ${subject({ entry_id: 'id' })}, before + credits AS expected, balance_after AS actual FROM (
        SELECT e.account_id, e.id, e.credits, e.balance_after,
               lag(e.balance_after, 1, 0::bigint) OVER (PARTITION BY e.account_id ORDER BY e.id) AS before,
               max(e.id) FILTER (WHERE e.kind = 'correction' AND e.allocation_id IS NULL)
                 OVER (PARTITION BY e.account_id) AS repaired
          FROM credit_ledger e JOIN users u ON u.account_id = e.account_id) chain
       WHERE id > coalesce(repaired, 0)`,
  },
  {
    name: 'lot = ledger',
    explanation:
      'A lot does not hold what its entries add up to. A repair writes a correction for the difference.',
    query: `
      SELECT x.account_id, ${subject({ allocation_id: 'x.lot' })}, sum(x.expected) AS expected, sum(x.actual) AS actual
        FROM (SELECT e.account_id, e.allocation_id AS lot, e.credits AS expected, 0 AS actual
                FROM users u JOIN credit_ledger e ON e.account_id = u.account_id AND e.allocation_id IS NOT NULL
              UNION ALL
              SELECT l.account_id, l.id, 0, l.remaining_credits
                FROM users u JOIN credit_allocations l ON l.account_id = u.account_id) x
       GROUP BY x.account_id, x.lot`,
  },
  {
    name: 'held = active sessions',
    explanation: 'The cached hold is not what the active sessions hold. A repair sets it to that.',
    query: `
      SELECT u.account_id, ${NOTHING}, coalesce(sum(s.allocated_credits), 0) AS expected, u.held AS actual
        FROM users u LEFT JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status = 'active'
       GROUP BY u.account_id, u.held`,
  },
  {
    name: 'session = its lots',
    explanation: 'What a session holds (or has paid, once it has ended) is not what it has taken lot by lot.',
    query: `
      SELECT s.account_id, ${subject({ session_id: 's.session_id' })},
             s.allocated_credits AS expected, ${TAKEN_BY_SESSION} AS actual
        FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status = 'active'
      UNION ALL
      SELECT x.account_id, ${subject({ session_id: 'max(x.session_id)' })}, sum(x.expected), sum(x.actual)
        FROM (SELECT s.account_id, s.usage_id, s.session_id, 0 AS expected, ${TAKEN_BY_SESSION} AS actual
                FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status <> 'active'
              UNION ALL
              SELECT r.account_id, r.id, NULL, r.credits - r.uncollected_credits, 0
                FROM users u JOIN usage_records r ON r.account_id = u.account_id) x
       GROUP BY x.account_id, x.usage_id HAVING count(x.session_id) > 0`,
  },
  {
    name: 'session lot = ledger',
    explanation: 'What a session has taken from a lot is not what the ledger says it took.',
    query: `
      SELECT x.account_id, ${subject({ allocation_id: 'x.lot', session_id: 'x.session_id' })},
             sum(x.expected) AS expected, sum(x.actual) AS actual
        FROM (SELECT s.account_id, s.user_id, s.session_id, held.lot, 0 AS expected, held.credits AS actual
                FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id
               CROSS JOIN unnest(s.held_lots, s.held_credits) AS held (lot, credits)
              UNION ALL
              SELECT e.account_id, e.user_id, e.session_id, e.allocation_id, -e.credits, 0
                FROM users u JOIN credit_ledger e ON e.account_id = u.account_id
               WHERE e.session_id IS NOT NULL AND e.kind IN ('hold', 'charge', 'refund')) x
       GROUP BY x.account_id, x.user_id, x.session_id, x.lot`,
  },
  {
    name: 'usage = ledger',
    explanation: 'A usage record does not say collected what the ledger took for it.',
    query: `
      SELECT x.account_id, ${subject({ usage_id: 'x.usage_id' })},
             sum(x.expected) AS expected, sum(x.actual) AS actual
        FROM (SELECT r.account_id, r.id AS usage_id, 1 AS records, 0 AS expected, r.credits - r.uncollected_credits AS actual
                FROM users u JOIN usage_records r ON r.account_id = u.account_id AND r.billing_status <> 'recorded'
               WHERE r.session_id IS NULL
              UNION ALL
              SELECT e.account_id, e.usage_id, 0, -e.credits, 0
                FROM users u JOIN credit_ledger e ON e.account_id = u.account_id
               WHERE e.usage_id IS NOT NULL AND e.session_id IS NULL AND e.kind = 'charge') x
       GROUP BY x.account_id, x.usage_id HAVING sum(x.records) > 0`,
  },
  {
    name: 'decision = ledger',
    explanation:
      'A decision of a review does not say billed what the ledger took at that moment for its record.',
    query: `
      SELECT x.account_id, ${subject({ usage_id: 'x.usage_id' })},
             sum(x.expected) AS expected, sum(x.actual) AS actual
        FROM (SELECT d.account_id, d.usage_id, d.decided_at, 1 AS decisions, 0 AS expected, d.billed_credits AS actual
                FROM users u JOIN usage_reviews d ON d.account_id = u.account_id
              UNION ALL
              SELECT e.account_id, e.usage_id, e.created_at, 0, -e.credits, 0
                FROM users u JOIN credit_ledger e ON e.account_id = u.account_id
               WHERE e.usage_id IS NOT NULL AND e.kind = 'charge') x
       GROUP BY x.account_id, x.usage_id, x.decided_at HAVING sum(x.decisions) > 0`,
  },
  {
    name: 'session open = cost, paid and decided',
    explanation:
      'What waits for a review of a session is not its cost less what was paid and what reviews have let go of it.',
    query: `
      SELECT x.account_id, ${subject({ session_id: 'max(x.session_id)', usage_id: 'x.usage_id' })},
             greatest(sum(x.cost - x.paid - x.let_go), 0) AS expected, sum(x.open) AS actual
        FROM (SELECT s.account_id, s.usage_id, s.session_id, 0 AS records,
                     s.used_credits AS cost, 0 AS paid, 0 AS let_go, 0 AS open
                FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status <> 'active'
              UNION ALL
              SELECT r.account_id, r.id, NULL, 1, 0, r.credits - r.uncollected_credits, 0,
                     CASE r.billing_status WHEN 'needs_review' THEN r.uncollected_credits ELSE 0 END
                FROM users u JOIN usage_records r ON r.account_id = u.account_id
              UNION ALL
              SELECT d.account_id, d.usage_id, NULL, 0, 0, 0, d.uncollected_credits - d.billed_credits, 0
                FROM users u JOIN usage_reviews d ON d.account_id = u.account_id) x
       GROUP BY x.account_id, x.usage_id HAVING count(x.session_id) > 0 AND sum(x.records) > 0`,
  },
  {
    name: 'record version = corrections and decisions',
    explanation:
      'A record has changed without a correction or decision that is kept, or one of them has left no trace.',
    query: `
      SELECT x.account_id, ${subject({ usage_id: 'x.usage_id', session_id: 'max(x.session_id)' })},
             1 + sum(x.decisions) + coalesce((max(x.ended_at) <> max(x.recorded_at))::integer, 0) AS expected,
             sum(x.version) AS actual
        FROM (SELECT r.account_id, r.id AS usage_id, r.session_id, r.version, r.timestamp AS recorded_at,
                     NULL::timestamptz AS ended_at, 0 AS decisions
                FROM users u JOIN usage_records r ON r.account_id = u.account_id
              UNION ALL
              SELECT s.account_id, s.usage_id, NULL, 0, NULL, s.completed_at, 0
                FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status <> 'active'
              UNION ALL
              SELECT d.account_id, d.usage_id, NULL, 0, NULL, NULL, 1
                FROM users u JOIN usage_reviews d ON d.account_id = u.account_id) x
       GROUP BY x.account_id, x.usage_id HAVING sum(x.version) > 0`,
  },
  {
    name: 'session has its usage record',
    explanation: 'A session has ended without its usage record.',
    query: `
      SELECT x.account_id, ${subject({ session_id: 'x.session_id' })}, 1 AS expected, sum(x.records) AS actual
        FROM (SELECT s.account_id, s.user_id, s.session_id, 1 AS ended, 0 AS records
                FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status <> 'active'
              UNION ALL
              SELECT r.account_id, r.user_id, r.session_id, 0, 1
                FROM users u JOIN usage_records r ON r.account_id = u.account_id AND r.session_id IS NOT NULL
                 AND r.billing_status <> 'recorded') x
       GROUP BY x.account_id, x.user_id, x.session_id HAVING sum(x.ended) > 0`,
  },
  {
    name: 'budget held = active sessions',
    explanation:
      'What is held in a period of a budget is not what the active sessions that began in it hold. A repair sets it to that.',
    query: `
      SELECT x.account_id, ${subject({ period_id: 'x.period_id' })},
             CASE max(x.unit) WHEN 'credits' THEN sum(x.credits) WHEN 'tokens' THEN sum(x.tokens) ELSE sum(x.calls) END AS expected,
             sum(x.held) AS actual
        FROM (${HELD_IN_PERIODS}) x
       GROUP BY x.account_id, x.period_id HAVING count(x.unit) > 0`,
  },
  {
    name: 'budget open sessions = active sessions',
    explanation:
      'A period of a budget does not know how many active sessions began in it. A repair sets it to that.',
    query: `
      SELECT x.account_id, ${subject({ period_id: 'x.period_id' })}, sum(x.calls) AS expected, sum(x.open_sessions) AS actual
        FROM (${HELD_IN_PERIODS}) x
       GROUP BY x.account_id, x.period_id HAVING count(x.unit) > 0`,
  },
  {
    name: 'budget raised = raises',
    explanation:
      'A period of a budget is not raised by the sum of its raises. One that has ended still counts until that is noted ' +
      '(raised_until), with the next call. A repair sets it to that.',
    // The clock, not now(): an end that this snapshot has as noted has passed.
    query: `
      SELECT y.account_id, ${subject({ period_id: 'y.period_id' })},
             coalesce(sum(y.amount) FILTER (
               WHERE y.until IS NULL OR y.until >= y.raised_until OR y.until > clock_timestamp()), 0) AS expected,
             sum(y.raised) AS actual
        FROM (SELECT x.account_id, x.period_id, x.amount, x.until, x.raised,
                     max(x.raised_until) OVER (PARTITION BY x.account_id, x.period_id) AS raised_until
                FROM (SELECT r.account_id, r.period_id, r.amount, r.until, 0 AS raised, NULL::timestamptz AS raised_until
                        FROM users u JOIN budget_raises r ON r.account_id = u.account_id
                      UNION ALL
                      SELECT p.account_id, p.id, 0, NULL, p.raised, p.raised_until
                        FROM users u JOIN budget_periods p ON p.account_id = u.account_id
                       WHERE p.raised <> 0 OR p.raised_until IS NOT NULL) x) y
       GROUP BY y.account_id, y.period_id`,
  },
  {
    name: 'session places = leases',
    explanation:
      'A place in a budget of sessions is not kept as long as the lease of its session. A repair sets it to that.',
    query: `
      SELECT x.account_id, ${subject({ period_id: 'x.period_id' })}, sum(x.expected) AS expected, sum(x.actual) AS actual
        FROM (SELECT s.account_id, p.id AS period_id, s.id AS session, s.expires_at, 1 AS expected, 0 AS actual
                FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id AND s.status = 'active'
               CROSS JOIN unnest(s.periods) AS began (period_id)
                JOIN budget_periods p ON p.account_id = s.account_id AND p.id = began.period_id AND p.unit = 'sessions'
              UNION ALL
              SELECT l.account_id, l.period_id, l.session, l.expires_at, 0, 1
                FROM users u JOIN session_places l ON l.account_id = u.account_id) x
       GROUP BY x.account_id, x.period_id, x.session, x.expires_at`,
  },
  {
    name: 'budget used = records',
    explanation:
      'What is used of a period of a budget is not what the records of the calls that began in it say. A repair sets it to that.',
    query: `
      SELECT x.account_id, ${subject({ period_id: 'x.period_id' })},
             CASE max(x.unit) WHEN 'credits' THEN sum(x.credits) WHEN 'tokens' THEN sum(x.tokens)
                              WHEN 'requests' THEN sum(x.calls) ELSE 0 END AS expected,
             sum(x.used) AS actual
        FROM (${USED_IN_PERIODS}) x
       GROUP BY x.account_id, x.period_id HAVING count(x.unit) > 0`,
  },
  {
    name: 'roll-up = records',
    explanation:
      'The daily roll-up of a service and operation does not add up to its usage records; statistics report the roll-up.',
    query: `
      SELECT x.account_id, ${NOTHING}, sum(x.expected) AS expected, sum(x.actual) AS actual FROM (
        SELECT r.account_id,
               CASE WHEN r.counted_as_other THEN '' ELSE r.service END AS service,
               CASE WHEN r.counted_as_other THEN '' ELSE r.operation END AS operation,
               r.credits + 1 AS expected, 0 AS actual
          FROM users u JOIN usage_records r ON r.account_id = u.account_id
        UNION ALL
        SELECT d.account_id, CASE WHEN d.operation = '' THEN '' ELSE d.service END, d.operation, 0, d.credits + d.records
          FROM users u JOIN usage_daily d ON d.account_id = u.account_id) x
       GROUP BY x.account_id, x.service, x.operation`,
  },
  {
    name: 'entry has the sign of its kind',
    explanation:
      'A ledger entry adds where its kind takes, or has no lot. Only a correction may be of any sign.',
    query: `
      SELECT e.account_id, ${subject({ entry_id: 'e.id' })}, 1 AS expected,
             (CASE WHEN e.kind IN ('allocation', 'refund') THEN e.credits > 0 AND e.allocation_id IS NOT NULL
                   WHEN e.kind <> 'correction' THEN e.credits < 0 AND e.allocation_id IS NOT NULL
                   ELSE TRUE END)::integer AS actual
        FROM users u JOIN credit_ledger e ON e.account_id = u.account_id`,
  },
  {
    name: 'lot is whole',
    explanation: 'A lot has more left than it had, is revoked and not empty, or is open without credits.',
    query: `
      SELECT l.account_id, ${subject({ allocation_id: 'l.id' })}, 1 AS expected,
             (l.remaining_credits <= l.total_credits
              AND l.is_open = (l.remaining_credits > 0)
              AND (l.revoked_at IS NULL OR l.remaining_credits = 0))::integer AS actual
        FROM users u JOIN credit_allocations l ON l.account_id = u.account_id`,
  },
  {
    name: 'session is whole',
    explanation: 'A session has ended without a reason or a time, or lacks more than it cost.',
    query: `
      SELECT s.account_id, ${subject({ session_id: 's.session_id' })}, 1 AS expected,
             (s.uncollected_credits <= s.used_credits
              AND (s.status = 'active') = (s.end_reason IS NULL)
              AND (s.status = 'active') = (s.completed_at IS NULL)
              AND cardinality(s.held_lots) = cardinality(s.held_credits))::integer AS actual
        FROM users u JOIN streaming_sessions s ON s.account_id = u.account_id`,
  },
  {
    name: 'record is whole',
    explanation: 'A usage record lacks more than it cost.',
    query: `
      SELECT r.account_id, ${subject({ usage_id: 'r.id' })}, 1 AS expected,
             (r.uncollected_credits <= r.credits)::integer AS actual
        FROM users u JOIN usage_records r ON r.account_id = u.account_id`,
  },
];
