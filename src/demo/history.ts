import pg from 'pg';
import type { EventsConfig } from '../config/env.js';
import { joinedAt, type PastCall } from './allocations.js';
import { type Month, ruleRow } from './month.js';
import { DAY, HISTORY_DAYS } from './people.js';

const CALLS_PER_STATEMENT = 500;
/** Where the functions find what they call: PostgreSQL's own functions come first, unless the path says otherwise. */
const PATH = 'public, pg_temp';
const PATH_OF_THE_PAST = `demo, pg_catalog, ${PATH}`;

/**
 * Lets the month happen on an empty database, by the very functions that the service calls, at another time: so every
 * balance, lot, ledger entry and record is what it would be. Meanwhile no other program may use the database.
 *
 * @param ownerUrl of the schema's owner
 * @param events as the service would have emitted them meanwhile
 * @param signal breaks it off
 */
export async function playMonth(
  ownerUrl: string,
  month: Month,
  events: EventsConfig,
  signal: AbortSignal,
): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    // Nothing here is worth waiting for the disk: a demo that was broken off is begun again.
    await client.query('SET synchronous_commit = off; SET client_min_messages = warning');
    await client.query(`SET accounting.low_threshold = ${events.lowThreshold}`);
    const begun = Date.now() - (HISTORY_DAYS + 2) * DAY;
    await insert(client, 'user_accounts', month.people.map(accountRow));
    await client.query('INSERT INTO credit_balances (account_id) SELECT user_id FROM user_accounts');
    await insert(client, 'pricing_rules', month.rules.map(ruleRow));
    await client.query(SUPERSEDED);
    await insert(client, 'api_keys', month.keys.map(keyRow), 'OVERRIDING SYSTEM VALUE');
    await insert(client, 'api_key_digests', month.keys.map(digestRow));
    const lines = month.keys.filter(({ budgetKeyId }) => budgetKeyId === null);
    await insert(client, 'budgets', lines.map(keyLimitRow));
    await client.query(`SELECT setval(pg_get_serial_sequence('api_keys', 'id'), ${month.keys.length + 1})`);
    await client.query(
      `CREATE SCHEMA demo; SET demo.now TO '${new Date(begun).toISOString()}'; ${CLOCKS}; ${PLAY}`,
    );
    await client.query(searching(PATH_OF_THE_PAST));
    for (let first = 0; first < month.calls.length; first += CALLS_PER_STATEMENT) {
      signal.throwIfAborted();
      const calls = month.calls.slice(first, first + CALLS_PER_STATEMENT).map(timed);
      await client.query({
        name: 'demo_play',
        text: 'SELECT demo.play($1, $2, $3)',
        values: [JSON.stringify(calls), events.creditsExpiringDays, events.keysExpiringDays],
      });
    }
    await client.query(searching(PATH));
    await client.query('DROP SCHEMA demo CASCADE');
    await client.query(LAST_USED);
    await client.query(FOUNDED);
    await client.query('VACUUM (ANALYZE)');
  } finally {
    await client.end();
  }
}

/** What gives the functions the time, in place of PostgreSQL's own. */
const CLOCKS = ['now', 'clock_timestamp']
  .map(
    (name) => `CREATE FUNCTION demo.${name}() RETURNS timestamptz STABLE LANGUAGE sql
      AS $$ SELECT current_setting('demo.now')::timestamptz $$`,
  )
  .join(';');

/** Gives the operations, and what these call, a search path. */
const searching = (path: string) => `DO $$
DECLARE
  f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND proconfig::text LIKE '%search_path=%' LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = ${path}', f);
  END LOOP;
END $$`;

/** Carries out requests, each with its time and operation, and what the service does by itself each hour; what a user cannot pay for is refused, as it was then. */
const PLAY = `CREATE FUNCTION demo.play(p_calls jsonb, p_lot_days integer, p_key_days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c jsonb;
  v_account varchar;
BEGIN
  FOR c IN SELECT jsonb_array_elements(p_calls) LOOP
    v_account := c ->> 'accountId';
    IF left(c ->> 'at', 13) <> left(current_setting('demo.now'), 13) THEN
      PERFORM set_config('demo.now', c ->> 'at', FALSE);
      PERFORM events_announce_lots(account_id, jsonb_build_object('days', p_lot_days)),
        events_announce_keys(account_id, jsonb_build_object('days', p_key_days)),
        events_announce_ended_keys(account_id, jsonb_build_object('days', ${HISTORY_DAYS + 2})) FROM credit_balances;
    END IF;
    PERFORM set_config('demo.now', c ->> 'at', FALSE);
    CASE c ->> 'operation'
      WHEN 'credit_expire' THEN PERFORM credit_expire(v_account, c);
      WHEN 'session_timeout' THEN PERFORM session_timeout(v_account, c);
      WHEN 'credit_revoke' THEN
        PERFORM credit_revoke(v_account, c || jsonb_build_object('allocationId', l.id)) FROM credit_allocations l
          WHERE l.account_id = v_account AND l.notes = c ->> 'notes';
      WHEN 'organisation_create' THEN PERFORM organisation_create(v_account, c);
      WHEN 'unit_create' THEN PERFORM unit_create(v_account, c);
      WHEN 'member_add' THEN PERFORM member_add(v_account, c);
      WHEN 'budget_create' THEN PERFORM budget_create(v_account, c);
      WHEN 'usage_review' THEN
        PERFORM usage_review(v_account, c || jsonb_build_object('usageId', r.id, 'version', r.version)) FROM usage_records r
          WHERE r.account_id = v_account AND r.request_id = c ->> 'requestId';
      ELSE PERFORM movements(v_account, jsonb_build_array(c), 0);
    END CASE;
  END LOOP;
END $$`;

const SUPERSEDED = `UPDATE pricing_rules ended SET superseded_by = next.id
  FROM pricing_rules next WHERE next.model_id = ended.model_id AND next.effective_from = ended.effective_to`;

const LAST_USED = `UPDATE api_keys k SET last_used = (
    SELECT max(r.timestamp) FROM usage_records r WHERE r.account_id = k.account_id AND r.api_key_id = k.id)`;

/** Defaults of columns have PostgreSQL's own clock: organisations are as old as the first event of theirs. */
const FOUNDED = `WITH founded AS (
    UPDATE organisations o SET created_at = (SELECT min(occurred_at) FROM event_outbox e WHERE e.account_id = o.account_id)
    RETURNING account_id, created_at),
  members AS (UPDATE members m SET added_at = f.created_at FROM founded f WHERE f.account_id = m.account_id)
  UPDATE units u SET created_at = f.created_at FROM founded f WHERE f.account_id = u.account_id`;

/** Rows of JSON, each column by its name. */
async function insert(client: pg.Client, table: string, rows: object[], overriding = ''): Promise<void> {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0] as object).join(', ');
  await client.query(
    `INSERT INTO ${table} (${columns}) ${overriding}
     SELECT ${columns} FROM jsonb_populate_recordset(NULL::${table}, $1)`,
    [JSON.stringify(rows)],
  );
}

const timed = ({ at, operation, request }: PastCall) => ({
  ...request,
  operation,
  at: new Date(at).toISOString(),
});
const instant = (at: number | null) => (at === null ? null : new Date(at));

function accountRow(person: Month['people'][number]) {
  const { userId, username, email, role } = person;
  const createdAt = new Date(joinedAt(person, Date.now()));
  return { user_id: userId, username, email, role, created_at: createdAt, updated_at: createdAt };
}

function keyRow(key: Month['keys'][number]) {
  return {
    id: key.id,
    account_id: key.userId,
    user_id: key.userId,
    key: key.digest,
    key_hint: key.hint,
    name: key.name,
    permissions: key.permissions,
    created_at: instant(key.createdAt),
    expires_at: instant(key.expiresAt),
    is_active: key.revokedAt === null,
    revoked_at: instant(key.revokedAt),
    budget_key_id: key.budgetKeyId,
    gateway_attempts: 0,
  };
}

const digestRow = ({ digest, userId, id }: Month['keys'][number]) => ({
  ...{ key: digest, account_id: userId, user_id: userId, api_key_id: id },
});

/** As a new key gets it. */
function keyLimitRow({ id, userId, creditLimit, createdAt }: Month['keys'][number]) {
  const limit = { scope: 'key', scope_id: String(id), unit: 'credits', time_window: 'lifetime' };
  const set = { amount: creditLimit, set_by: 'account', is_key_limit: true, created_by: userId };
  return { account_id: userId, ...limit, ...set, created_at: instant(createdAt) };
}
