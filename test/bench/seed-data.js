import { MODEL } from './scenarios.js';

/**
 * A database that has been in use for a year, written as the service would have written it: every balance is what its
 * lots, its ledger and its sessions add up to. For each ten records there are one user, one lot, four charges and five
 * ledger entries, and for each fifty an open session with its hold. Rows come in the order of time, so one user's lie
 * scattered over the tables, as they do in life.
 */
export const RECORDS_PER_USER = 10;
const USERS_PER_SESSION = 5;
/** Which of a user's ten records are charges; the others were settled elsewhere and moved nothing. */
const CHARGES = '1, 3, 5, 7';
const CHARGES_PER_USER = 4;
const LOT = 1_000_000;
const HOLD = 12;
const ESTIMATE = 10;
const YEAR = '365 days';

/** Users with more of one thing than others have. */
export const HEAVY = { lots: 'heavy-lots', sessions: 'heavy-sessions', records: 'heavy-records' };
const HEAVY_LOTS = 10_000;
const HEAVY_OPEN_LOTS = 10;
const HEAVY_SESSIONS = 100_000;
/** Below this a database is too small to have heavy users. */
const LEAST_WITH_HEAVY = 100_000;

/** @param {number} index from 1 */
export function userId(index) {
  return `seed-${String(index).padStart(8, '0')}`;
}

/** How many users there are for a number of records. */
export function usersOf(records) {
  return Math.max(1, Math.round(records / RECORDS_PER_USER));
}

const USER_ID = (index) => `'seed-' || lpad((${index})::text, 8, '0')`;
/** What each charge of a user costs. */
const CHARGE = (user) => `(1 + (${user}) % 50)`;
const HAS_SESSION = (user) => `(${user}) % ${USERS_PER_SESSION} = 0`;

/** What is left of the lot of user u, and when it expires. */
const REMAINING = `${LOT} - ${CHARGES_PER_USER} * ${CHARGE('u')} - CASE WHEN ${HAS_SESSION('u')} THEN ${HOLD} ELSE 0 END`;
const EXPIRY = `at + interval '1000 days' + u % 365 * interval '1 day'`;

/**
 * The steps in their order. $1 is the number of users, and begun.at the instant everything is counted back from.
 *
 * @type {[string, string][]}
 */
const PLAIN = [
  [
    'accounts',
    `INSERT INTO user_accounts (user_id, email, username, created_at)
     SELECT ${USER_ID('u')}, ${USER_ID('u')} || '@example.com', ${USER_ID('u')}, at - interval '${YEAR}'
       FROM generate_series(1, $1::bigint) u, begun`,
  ],
  [
    'balances',
    `INSERT INTO credit_balances (account_id, available, held, next_expiry)
     SELECT ${USER_ID('u')}, ${REMAINING}, CASE WHEN ${HAS_SESSION('u')} THEN ${HOLD} ELSE 0 END, ${EXPIRY}
       FROM generate_series(1, $1::bigint) u, begun`,
  ],
  [
    'lots',
    `INSERT INTO credit_allocations
       (id, account_id, total_credits, remaining_credits, allocated_by, allocated_at, expires_at)
     OVERRIDING SYSTEM VALUE
     SELECT u, ${USER_ID('u')}, ${LOT}, ${REMAINING}, 'service:seed', at - interval '${YEAR}', ${EXPIRY}
       FROM generate_series(1, $1::bigint) u, begun`,
  ],
  [
    'usage records',
    // Number n is of user n % $1, and as far through the year as through the numbers.
    `INSERT INTO usage_records
       (id, account_id, user_id, timestamp, service, operation, credits, metadata, billing_status, provider_cost_usd,
        provider_cost_source, pricing_source, request_id, request_hash, balance_after)
     OVERRIDING SYSTEM VALUE
     SELECT k * $1 + u, ${USER_ID('u')}, ${USER_ID('u')},
            at - interval '${YEAR}' + interval '${YEAR}' * ((k * $1 + u)::float / ($1 * ${RECORDS_PER_USER} + 1)),
            CASE WHEN is_charge THEN 'chat' ELSE (ARRAY['images', 'embeddings', 'speech'])[1 + u % 3] END,
            CASE WHEN is_charge THEN (ARRAY['${MODEL}', 'gpt-4o-mini', 'gpt-4o'])[1 + u % 3] ELSE 'render' END,
            ${CHARGE('u')}, jsonb_build_object('region', 'eu-' || u % 7, 'trace', md5(u::text || ' ' || k)),
            CASE WHEN is_charge THEN 'billed' ELSE 'recorded' END,
            CASE WHEN is_charge THEN 0.0042 END, CASE WHEN is_charge THEN 'reported' END,
            CASE WHEN is_charge THEN 'default' END, CASE WHEN is_charge THEN 'seed-' || k END,
            CASE WHEN is_charge THEN sha256(k::text::bytea) END,
            CASE WHEN is_charge THEN ${LOT} - array_position(ARRAY[${CHARGES}], k::integer) * ${CHARGE('u')} END
       FROM generate_series(0, ${RECORDS_PER_USER - 1}) k, generate_series(1, $1::bigint) u,
            LATERAL (SELECT k IN (${CHARGES}) AS is_charge) c, begun`,
  ],
  [
    'ledger: allocations',
    `INSERT INTO credit_ledger (id, account_id, kind, credits, balance_after, allocation_id, actor, created_at)
     OVERRIDING SYSTEM VALUE
     SELECT id, account_id, 'allocation', ${LOT}, ${LOT}, id, allocated_by, allocated_at
       FROM credit_allocations ORDER BY id`,
  ],
  [
    'ledger: charges',
    `INSERT INTO credit_ledger (id, account_id, user_id, kind, credits, balance_after, allocation_id, usage_id, actor, created_at)
     OVERRIDING SYSTEM VALUE
     SELECT $1 + id, account_id, user_id, 'charge', -credits, balance_after, 1 + (id - 1) % $1, id, account_id, timestamp
       FROM usage_records WHERE billing_status = 'billed' ORDER BY id`,
  ],
  [
    'open sessions',
    `INSERT INTO streaming_sessions
       (session_id, account_id, user_id, model_id, estimated_credits, allocated_credits, estimated_tokens, pricing_source,
        held_lots, held_credits, first_hold, remaining_after_hold, started_at, expires_at)
     SELECT 'seed', ${USER_ID('u')}, ${USER_ID('u')}, '${MODEL}', ${ESTIMATE}, ${HOLD}, 3333, 'default', ARRAY[u], ARRAY[${HOLD}],
            ${HOLD}, ${LOT} - ${CHARGES_PER_USER} * ${CHARGE('u')} - ${HOLD}, at - u % 3600 * interval '1 second',
            at + interval '1000 days'
       FROM generate_series(1, $1::bigint) u, begun WHERE ${HAS_SESSION('u')}`,
  ],
  [
    'ledger: holds',
    `INSERT INTO credit_ledger
       (id, account_id, user_id, kind, credits, balance_after, allocation_id, session_id, actor, created_at)
     OVERRIDING SYSTEM VALUE
     SELECT $1 * ${RECORDS_PER_USER + 1} + held_lots[1], account_id, user_id, 'hold', -${HOLD}, remaining_after_hold, held_lots[1],
            session_id, account_id, started_at
       FROM streaming_sessions ORDER BY started_at`,
  ],
];

/** $1 is how many records the user with many has. */
const HEAVY_STEPS = [
  [
    'heavy accounts',
    `WITH heavy AS (
       INSERT INTO user_accounts (user_id, email, username, created_at)
       SELECT u, u || '@example.com', u, at - interval '${YEAR}'
         FROM unnest(ARRAY['${HEAVY.lots}', '${HEAVY.sessions}', '${HEAVY.records}']) u, begun WHERE $1 > 0
       RETURNING user_id
     )
     INSERT INTO credit_balances (account_id) SELECT user_id FROM heavy`,
  ],
  [
    // Each lot but the last is spent before the next one comes; the last ones are open.
    'lots of one user',
    `WITH given AS (
       SELECT l, CASE WHEN l = ${HEAVY_LOTS} THEN ${LOT} ELSE 100 END AS credits, l > ${HEAVY_LOTS - HEAVY_OPEN_LOTS} AS is_open,
              at - interval '${YEAR}' + l * interval '50 minutes' AS given_at
         FROM generate_series(1, ${HEAVY_LOTS}) l, begun WHERE $1 > 0
     ), lots AS (
       INSERT INTO credit_allocations
         (account_id, total_credits, remaining_credits, allocated_by, allocated_at, expires_at, is_open)
       SELECT '${HEAVY.lots}', credits, CASE WHEN is_open THEN credits ELSE 0 END, 'service:seed', given_at,
              given_at + interval '2000 days', is_open
         FROM given ORDER BY l
       RETURNING id, account_id, total_credits AS credits, allocated_at, is_open
     ), entries AS (
       SELECT id, account_id, allocated_at, 'allocation' AS kind, credits FROM lots
       UNION ALL SELECT id, account_id, allocated_at, 'deduction', -credits FROM lots WHERE NOT is_open
     )
     INSERT INTO credit_ledger (account_id, kind, credits, balance_after, allocation_id, actor, created_at)
     SELECT account_id, kind, credits, sum(credits) OVER (ORDER BY id, kind), id, 'service:seed', allocated_at
       FROM entries ORDER BY id, kind`,
  ],
  [
    'lot of the user with many sessions',
    `WITH lot AS (
       INSERT INTO credit_allocations
         (account_id, total_credits, remaining_credits, allocated_by, allocated_at, expires_at)
       SELECT '${HEAVY.sessions}', 10 * ${LOT}, 10 * ${LOT} - ${HEAVY_SESSIONS} * ${ESTIMATE}, 'service:seed',
              at - interval '${YEAR}', at + interval '1000 days' FROM begun WHERE $1 > 0
       RETURNING *)
     INSERT INTO credit_ledger (account_id, kind, credits, balance_after, allocation_id, actor, created_at)
     SELECT account_id, 'allocation', total_credits, total_credits, id, allocated_by, allocated_at FROM lot`,
  ],
  [
    'records of the sessions of one user',
    `INSERT INTO usage_records
       (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status, session_id, pricing_source)
     SELECT '${HEAVY.sessions}', '${HEAVY.sessions}', at - interval '${YEAR}' + s * interval '5 minutes', 'chat-streaming', '${MODEL}',
            ${ESTIMATE}, jsonb_build_object('sessionId', 'seed-' || s, 'tokens', 3333), 'billed', 'seed-' || s, 'default'
       FROM generate_series(1, ${HEAVY_SESSIONS}) s, begun WHERE $1 > 0 ORDER BY s`,
  ],
  [
    'ended sessions of one user',
    `INSERT INTO streaming_sessions
       (session_id, account_id, user_id, model_id, estimated_credits, allocated_credits, used_credits, status, end_reason,
        estimated_tokens, final_quantities, final_service_tier, pricing_rule_id, pricing_source, held_lots, held_credits, first_hold,
        remaining_after_hold, usage_id, started_at, expires_at, completed_at)
     SELECT r.session_id, r.account_id, r.account_id, r.operation, ${ESTIMATE}, ${HOLD}, ${ESTIMATE}, 'completed', 'finalized', 3333,
            '{"tokens": 3333}', 'standard', (SELECT id FROM pricing_rules WHERE model_id = '${MODEL}' AND source = 'default'), 'default', ARRAY[l.id], ARRAY[${ESTIMATE}], ${HOLD},
            l.total_credits - ${ESTIMATE} * (row_number() OVER (ORDER BY r.id) - 1) - ${HOLD}, r.id,
            r.timestamp - interval '1 minute', r.timestamp + interval '14 minutes', r.timestamp
       FROM usage_records r JOIN credit_allocations l ON l.account_id = r.account_id
      WHERE r.account_id = '${HEAVY.sessions}' AND $1 > 0 ORDER BY r.id`,
  ],
  [
    'ledger of the sessions of one user',
    `INSERT INTO credit_ledger
       (account_id, user_id, kind, credits, balance_after, allocation_id, session_id, usage_id, actor, created_at)
     SELECT s.account_id, s.user_id, e.kind, e.credits, e.balance_after, s.held_lots[1], s.session_id, e.usage_id, s.account_id, e.at
       FROM streaming_sessions s CROSS JOIN LATERAL (VALUES
              (1, 'hold', -s.allocated_credits, s.remaining_after_hold, NULL::bigint, s.started_at),
              (2, 'refund', s.allocated_credits - s.used_credits,
               s.remaining_after_hold + s.allocated_credits - s.used_credits, s.usage_id, s.completed_at)
            ) AS e (turn, kind, credits, balance_after, usage_id, at)
      WHERE s.account_id = '${HEAVY.sessions}' AND $1 > 0 ORDER BY s.usage_id, e.turn`,
  ],
  [
    'heavy balances',
    `UPDATE credit_balances b SET available = l.available, next_expiry = l.next_expiry
       FROM (SELECT account_id, sum(remaining_credits) AS available, min(expires_at) FILTER (WHERE is_open) AS next_expiry
               FROM credit_allocations WHERE account_id LIKE 'heavy-%' AND $1 > 0 GROUP BY 1) l
      WHERE b.account_id = l.account_id`,
  ],
  [
    'records of one user',
    `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status)
     SELECT '${HEAVY.records}', '${HEAVY.records}', at - interval '${YEAR}' + interval '${YEAR}' * (r::float / ($1 + 1)), 'images', 'render', 5,
            jsonb_build_object('job', md5(r::text)), 'recorded'
       FROM generate_series(1, $1::bigint) r, begun ORDER BY r`,
  ],
];

const LAST = [
  [
    'daily roll-up',
    `INSERT INTO usage_daily
       (account_id, user_id, day, service, operation, records, credits, provider_cost_usd, costed_records, costed_credits,
        unpriced_records, charged_credits, uncollected_credits)
     SELECT account_id, user_id, (timestamp AT TIME ZONE 'UTC')::date AS day, service, operation, count(*), sum(credits),
            coalesce(sum(provider_cost_usd), 0), count(provider_cost_usd),
            coalesce(sum(credits - uncollected_credits) FILTER (WHERE provider_cost_usd IS NOT NULL AND billing_status <> 'recorded'), 0),
            count(*) FILTER (WHERE pricing_source = 'fallback'),
            coalesce(sum(credits - uncollected_credits) FILTER (WHERE billing_status <> 'recorded'), 0),
            coalesce(sum(uncollected_credits) FILTER (WHERE billing_status <> 'recorded'), 0)
       FROM usage_records GROUP BY 1, 2, 3, 4, 5 ORDER BY day, account_id`,
  ],
];

const SEQUENCES = ['credit_allocations', 'credit_ledger', 'usage_records'].map(
  (table) =>
    `SELECT setval(pg_get_serial_sequence('${table}', 'id'), coalesce((SELECT max(id) FROM ${table}), 0) + 1)`,
);

/**
 * Fills an empty database.
 *
 * @param {import('pg').Pool} owner
 * @param {number} records
 * @param {(step: string, seconds: number) => void} onStep
 */
export async function seed(owner, records, onStep = () => undefined) {
  const users = usersOf(records);
  const heavyRecords = records >= LEAST_WITH_HEAVY ? Math.round(records / 10) : 0;
  const client = await owner.connect();
  const timed = async (name, statement, values) => {
    const begun = Date.now();
    await client.query(statement, values);
    onStep(name, (Date.now() - begun) / 1000);
  };
  try {
    // Nothing here is worth waiting for the disk: a seed that was broken off is begun again.
    await client.query(
      `SET synchronous_commit = off; SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'`,
    );
    await client.query('CREATE TEMPORARY TABLE begun AS SELECT now() AS at');
    for (const [name, statement] of PLAIN) await timed(name, statement, /\$1/.test(statement) ? [users] : []);
    for (const statement of SEQUENCES) await client.query(statement);
    if (heavyRecords > 0)
      for (const [name, statement] of HEAVY_STEPS) await timed(name, statement, [heavyRecords]);
    for (const [name, statement] of LAST) await timed(name, statement);
    // As autovacuum would have done it in the course of the year.
    await timed('vacuum and analyze', 'VACUUM (ANALYZE)');
    await timed('checkpoint', 'CHECKPOINT');
  } finally {
    client.release(true);
  }
}
