import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { embeddedUrls, migrate } from '../../src/postgres-server/open-database.js';
import { expectSoundBooks, initialize, SONNET, userWithCredits } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';

let service: TestService;
/** A connection as the running service's role. */
let runtime: pg.Client;
beforeAll(async () => {
  service = await startService();
  const user = await userWithCredits(service, 100);
  await initialize(user, 's');
  await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 700 });
  runtime = new pg.Client({ connectionString: service.databaseUrl });
  await runtime.connect();
});
afterAll(async () => {
  await expectSoundBooks(service);
  await runtime.end();
  await service.close();
});

const MONEY_TABLES = [
  'credit_balances',
  'credit_allocations',
  'credit_ledger',
  'streaming_sessions',
  'usage_records',
  'usage_daily',
  'user_accounts',
];

describe("the service's role", () => {
  it.each(MONEY_TABLES)('reads %s and cannot write it', async (table) => {
    const id = table === 'user_accounts' ? 'user_id' : 'account_id';
    const { rows } = await runtime.query(`SELECT ${id} FROM ${table} LIMIT 1`);
    expect(rows).toHaveLength(1);
    for (const statement of [
      `UPDATE ${table} SET ${id} = ${id}`,
      `DELETE FROM ${table}`,
      `TRUNCATE ${table} CASCADE`,
      `INSERT INTO ${table} (${id}) VALUES ('x')`,
      `ALTER TABLE ${table} ADD COLUMN x integer`,
      `DROP TABLE ${table}`,
    ]) {
      await expect(runtime.query(statement), statement).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('cannot read or write idempotency keys, which hold answers of everyone', async () => {
    await expect(runtime.query('SELECT * FROM idempotency_keys')).rejects.toMatchObject({ code: '42501' });
    await expect(runtime.query('DELETE FROM idempotency_keys')).rejects.toMatchObject({ code: '42501' });
  });

  it('calls the operations, and none of the helpers they are made of', async () => {
    const { rows } = await service.owner.query<{
      name: string;
      allowed: boolean;
      definer: boolean;
      settings: string[];
    }>(
      `SELECT p.proname AS name, has_function_privilege('accounting_app', p.oid, 'EXECUTE') AS allowed,
              p.prosecdef AS definer, p.proconfig AS settings
         FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        ORDER BY 1`,
    );
    const allowed = rows.filter((row) => row.allowed);
    expect(allowed.map(({ name }) => name)).toEqual([
      'account_upsert',
      'activity_forget',
      'activity_write',
      'api_key_budget',
      'api_key_create',
      'api_key_open',
      'api_key_revoke',
      'api_key_rotate',
      'api_key_update',
      'api_keys_live',
      'api_keys_verify',
      'audit_ended',
      'available_credits',
      'budget_create',
      'budget_delete',
      'budget_periods_list',
      'budget_raise',
      'budget_update',
      'budgets_list',
      'clock_now',
      'counted_service',
      'credit_allocate',
      'credit_deduct',
      'credit_expire',
      'credit_quote',
      'credit_repair',
      'credit_revoke',
      'credit_set_low_threshold',
      'credits_room',
      'events_announce_ended_keys',
      'events_announce_keys',
      'events_announce_lots',
      'events_forget',
      'events_newest',
      'events_publish',
      'forget_idempotency_keys',
      'gateway_unit_stays',
      'held_credits',
      'idempotency_earlier',
      'idempotency_keep',
      'member_add',
      'member_change',
      'member_remove',
      'movements',
      'organisation_archive',
      'organisation_create',
      'organisation_rename',
      'output_lengths_learn',
      'priced_models',
      'quarantine_is_known',
      'session_hold',
      'session_progress',
      'session_settle',
      'session_timeout',
      'tokens_of',
      'unit_change',
      'unit_create',
      'unit_delete',
      'usage_charge',
      'usage_classes',
      'usage_close_day',
      'usage_details',
      'usage_json',
      'usage_leaders',
      'usage_make_leaders',
      'usage_record',
      'usage_reprice',
      'usage_review',
      'webhook_claim',
      'webhook_go_on',
      'webhook_replay',
      'webhook_settle',
    ]);
    // A function with its owner's rights must not look names up where its caller says.
    for (const row of allowed) {
      // They only form what their caller has read.
      if (['counted_service', 'usage_json'].includes(row.name)) continue;
      expect(row, row.name).toMatchObject({ definer: true });
      expect(row.settings, row.name).toContain('search_path=public, pg_temp');
    }
    expect(rows.length).toBeGreaterThan(allowed.length + 15);
  });
});

/** What a role may do with each table, beyond reading all of it. */
const RIGHTS: Record<string, string[]> = {
  activity: ['SELECT'],
  alert_rules: ['SELECT', 'INSERT', 'UPDATE of columns', 'DELETE'],
  api_key_digests: ['SELECT'],
  api_keys: ['SELECT', 'UPDATE of columns'],
  budget_periods: ['SELECT'],
  budget_raises: ['SELECT'],
  budgets: ['SELECT'],
  console_sessions: ['SELECT', 'INSERT', 'UPDATE of columns', 'DELETE'],
  credit_allocations: ['SELECT'],
  credit_balances: ['SELECT'],
  credit_ledger: ['SELECT'],
  event_outbox: ['SELECT'],
  events: ['SELECT'],
  gateway_accounts: ['SELECT', 'INSERT', 'UPDATE of columns'],
  gateways: ['SELECT', 'UPDATE of columns'],
  last_audit: ['SELECT'],
  members: ['SELECT'],
  migrations: ['SELECT'],
  organisations: ['SELECT'],
  output_lengths: ['SELECT'],
  pricing_rules: ['SELECT', 'INSERT', 'UPDATE of columns'],
  pricing_aliases: ['SELECT', 'INSERT', 'DELETE'],
  pricing_providers: ['SELECT', 'INSERT'],
  session_places: ['SELECT'],
  streaming_sessions: ['SELECT'],
  units: ['SELECT'],
  usage_daily: ['SELECT'],
  usage_totals: ['SELECT'],
  usage_corrections: ['SELECT'],
  usage_closing: ['SELECT'],
  usage_leaders: ['SELECT'],
  usage_quarantine: ['SELECT', 'INSERT of columns', 'UPDATE of columns'],
  usage_records: ['SELECT'],
  usage_reviews: ['SELECT'],
  user_accounts: ['SELECT'],
  webhook_deliveries: ['SELECT'],
  webhook_endpoints: ['SELECT', 'INSERT', 'UPDATE of columns', 'DELETE'],
  webhook_lanes: ['SELECT'],
};

describe("the service's role and the rest of the server", () => {
  it('has exactly these rights on tables and sequences of every schema, and owns nothing', async () => {
    const { rows } = await service.owner.query<{ name: string; rights: string[] }>(
      `SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END AS name,
              array_agg(r ORDER BY array_position('{SELECT,INSERT,UPDATE,DELETE}', split_part(r, ' ', 1))) AS rights
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (
          SELECT p FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
           WHERE has_table_privilege('accounting_app', c.oid, p)
          UNION ALL
          SELECT p || ' of columns' FROM unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p
           WHERE has_any_column_privilege('accounting_app', c.oid, p)
             AND NOT has_table_privilege('accounting_app', c.oid, p)) AS held (r)
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^(pg_|information_schema)'
        GROUP BY 1 ORDER BY 1`,
    );
    expect(Object.fromEntries(rows.map(({ name, rights }) => [name, rights]))).toEqual(RIGHTS);
    const owned = await service.owner.query(
      `SELECT 1 FROM pg_class WHERE relowner = 'accounting_app'::regrole
       UNION ALL SELECT 1 FROM pg_proc WHERE proowner = 'accounting_app'::regrole
       UNION ALL SELECT 1 FROM pg_namespace WHERE nspowner = 'accounting_app'::regrole
       UNION ALL SELECT 1 FROM pg_database WHERE datdba = 'accounting_app'::regrole`,
    );
    expect(owned.rows).toEqual([]);
  });

  it('has no attribute beyond login and is a member of no other role', async () => {
    const { rows } = await service.owner.query(
      `SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
              (SELECT count(*)::int FROM pg_auth_members WHERE member = r.oid) AS memberships
         FROM pg_roles r WHERE rolname = 'accounting_app'`,
    );
    const no = { rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolreplication: false };
    expect(rows).toEqual([{ ...no, rolbypassrls: false, memberships: 0 }]);
  });

  it.each([
    ['reads another schema', 'SELECT * FROM other_application.secrets'],
    ['reads the passwords of the server', 'SELECT rolpassword FROM pg_authid'],
    ['reads files of the server', `SELECT pg_read_file('postgresql.conf')`],
    ['runs programs on the server', `COPY (SELECT 1) TO PROGRAM 'true'`],
    ['creates a table', 'CREATE TABLE public.mine (a integer)'],
    ['creates a function', `CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'`],
    ['creates a schema', 'CREATE SCHEMA mine'],
    ['creates an extension', 'CREATE EXTENSION pg_trgm'],
    ['switches the triggers of the ledger off', 'ALTER TABLE credit_ledger DISABLE TRIGGER ALL'],
    ['drops a trigger', 'DROP TRIGGER credit_ledger_append_only ON credit_ledger'],
    ['writes as a replica, whom triggers do not bind', 'SET session_replication_role = replica'],
    [
      'replaces an operation',
      'CREATE OR REPLACE FUNCTION forget_idempotency_keys(integer) RETURNS integer LANGUAGE sql AS $$ SELECT 0 $$',
    ],
    ['lets an operation look names up elsewhere', 'ALTER FUNCTION session_hold RESET search_path'],
    ['takes its rights away', 'ALTER FUNCTION session_hold SECURITY INVOKER'],
    ['drops an operation', 'DROP FUNCTION session_hold'],
    ['becomes the owner', 'SET ROLE accounting_owner'],
    ['becomes another', 'SET SESSION AUTHORIZATION accounting_owner'],
    ['makes itself more', 'ALTER ROLE accounting_app CREATEROLE'],
    ['gives itself a helper', 'GRANT EXECUTE ON FUNCTION take_credits TO accounting_app'],
    ['writes a balance behind a view', 'CREATE VIEW public.mine AS SELECT * FROM credit_balances'],
    ['locks a money table against everyone', 'LOCK TABLE credit_balances IN ACCESS EXCLUSIVE MODE'],
    ['waits for a user as a balance does', 'SELECT 1 FROM credit_balances FOR UPDATE'],
    ['winds a sequence back', `SELECT setval('credit_ledger_id_seq', 1)`],
    ['changes what a budget has used', 'UPDATE budget_periods SET used = 0'],
    ['changes a limit', 'UPDATE budgets SET amount = NULL'],
    [
      'makes a key by hand',
      `INSERT INTO api_keys (account_id, key, key_hint, name) VALUES ('x', '0', 'x', 'x')`,
    ],
    ['changes what a key may do', 'UPDATE api_keys SET permissions = permissions'],
    ['prolongs a key', 'UPDATE api_keys SET expires_at = NULL'],
    ['changes whose key it is', `UPDATE api_keys SET account_id = 'x', key = repeat('0', 64)`],
    ['changes a price', 'UPDATE pricing_rules SET components = components'],
    [
      'changes what a rule is for, and since when',
      'UPDATE pricing_rules SET model_id = model_id, effective_from = now()',
    ],
    ['keeps every price from changing', 'LOCK TABLE pricing_rules IN SHARE MODE'],
    ['changes the settings of the server', `ALTER SYSTEM SET fsync = 'off'`],
  ])('never %s', async (_, statement) => {
    await service.owner.query(
      'CREATE SCHEMA IF NOT EXISTS other_application; CREATE TABLE IF NOT EXISTS other_application.secrets (a text)',
    );
    const before = await snapshot(service.owner);
    // In a transaction, so that nothing stays should it be let; this one statement knows none.
    const begin = statement.startsWith('ALTER SYSTEM') ? '' : 'BEGIN; ';
    const refused = runtime.query(begin + statement).finally(() => runtime.query('ROLLBACK'));
    await expect(refused).rejects.toMatchObject({ code: '42501' });
    expect(await snapshot(service.owner)).toEqual(before);
    await service.owner.query('DROP SCHEMA other_application CASCADE');
  });

  it('cannot lead an operation astray by its search path or by temporary things of the same names', async () => {
    const { userId } = await userWithCredits(service, 100);
    // Every role that may connect may make temporary things, unless the operator forbids it, as the embedded server does.
    await service.owner.query(
      `DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO accounting_app', current_database()); END $$`,
    );
    const intruder = new pg.Client({ connectionString: service.databaseUrl });
    await intruder.connect();
    for (const statement of [
      'CREATE TEMP TABLE credit_balances (LIKE public.credit_balances)',
      'CREATE TEMP TABLE credit_allocations (LIKE public.credit_allocations)',
      'CREATE TEMP TABLE credit_ledger (LIKE public.credit_ledger)',
      'CREATE TEMP TABLE streaming_sessions (LIKE public.streaming_sessions)',
      `INSERT INTO pg_temp.credit_balances VALUES ('${userId}', 1000000, 0, NULL, NULL, NULL, FALSE, 0)`,
      `CREATE FUNCTION pg_temp.available_credits(varchar) RETURNS bigint LANGUAGE sql AS 'SELECT 1000000::bigint'`,
      `CREATE FUNCTION pg_temp.lock_balance(varchar) RETURNS record LANGUAGE sql AS 'SELECT 1, 2'`,
      `CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'infinity'::timestamptz $$`,
      'SET search_path = pg_temp, public',
    ]) {
      await intruder.query(statement);
    }
    const { rows } = await intruder.query<{ answer: { outcome: string } }>(
      `SELECT public.credit_deduct($1, $2) AS answer`,
      [userId, { accountId: userId, credits: 500, notes: 'astray', actor: 'intruder' }],
    );
    expect(rows[0]?.answer.outcome).toBe('insufficient');
    const taken = await intruder.query<{ answer: { outcome: string } }>(
      `SELECT public.credit_deduct($1, $2) AS answer`,
      [userId, { accountId: userId, credits: 60, notes: 'as meant', actor: 'intruder' }],
    );
    expect(taken.rows[0]?.answer.outcome).toBe('ok');
    await intruder.end();
    const real = await service.owner.query('SELECT available FROM credit_balances WHERE account_id = $1', [
      userId,
    ]);
    expect(real.rows).toEqual([{ available: '40' }]);
  });

  it('cannot put anything beside the operations, also where everyone could create in the schema', async () => {
    await service.owner.query('GRANT CREATE ON SCHEMA public TO PUBLIC');
    const limits = { poolSize: 2, statementTimeoutMilliseconds: 60_000, connectTimeoutMilliseconds: 5000 };
    const config = { ...limits, url: undefined, migrationUrl: undefined, embeddedDirectory: '' };
    const name = new URL(service.databaseUrl).pathname.slice(1);
    // As with the embedded server; a copy of a template belongs to who made it.
    await service.owner.query(`ALTER DATABASE ${name} OWNER TO accounting_owner`);
    await migrate(config, embeddedUrls(inject('server'), name).ownerUrl, 'accounting_app');
    await expect(runtime.query('CREATE TABLE public.mine (a integer)')).rejects.toMatchObject({
      code: '42501',
    });
  });
});

describe('the ledger', () => {
  it.each([
    ['UPDATE', 'UPDATE credit_ledger SET credits = credits + 1'],
    ['DELETE', 'DELETE FROM credit_ledger'],
    ['TRUNCATE', 'TRUNCATE credit_ledger'],
  ])('refuses %s, also to the owner of the database', async (_, statement) => {
    await expect(service.owner.query(statement)).rejects.toMatchObject({
      code: '23001',
      message: expect.stringContaining('append-only') as string,
    });
  });
});

describe('an API key that was revoked', () => {
  it.each([
    ['23514', 'is_active = TRUE'],
    ['23001', 'revoked_at = NULL'],
    ['23001', 'is_active = TRUE, revoked_at = NULL'],
  ])('never works again, not for the owner of the database either: %s', async (code, change) => {
    const user = service.as();
    const { body } = await user.post('/api/api-keys', { name: 'k', permissions: ['credits:read'] });
    expect((await user.delete(`/api/api-keys/${body.id as number}`)).status).toBe(204);
    const revive = `UPDATE api_keys SET ${change} WHERE account_id = '${user.userId}'`;
    for (const role of [runtime, service.owner])
      await expect(role.query(revive)).rejects.toMatchObject({ code });
  });
});

describe('the CHECKs, should a function ever be wrong', () => {
  it.each([
    ['a negative balance', 'UPDATE credit_balances SET available = -1'],
    ['a negative hold', 'UPDATE credit_balances SET held = -1'],
    ['a balance that JSON cannot hold exactly', 'UPDATE credit_balances SET available = 9007199254740992'],
    ['a negative lot', 'UPDATE credit_allocations SET remaining_credits = -1'],
    [
      'an entry of no known kind',
      `INSERT INTO credit_ledger (account_id, kind, credits, balance_after, allocation_id, actor, created_at)
       SELECT account_id, 'gift', 5, 5, id, 'x', now() FROM credit_allocations`,
    ],
  ])('refuse %s', async (_, statement) => {
    await expect(service.owner.query(statement)).rejects.toMatchObject({ code: '23514' });
  });
});

describe('a movement over books that are broken', () => {
  it.each([
    [
      'takes no more than the lots have',
      'UPDATE credit_balances SET available = available + 1000 WHERE account_id = $1',
      'UPDATE credit_balances SET available = available - 1000 WHERE account_id = $1',
      'credits short of the cached balance',
    ],
    [
      'gives a lot no more than it was given',
      `UPDATE streaming_sessions SET allocated_credits = allocated_credits + 1000, held_credits = '{1004}' WHERE account_id = $1`,
      `UPDATE streaming_sessions SET allocated_credits = allocated_credits - 1000, held_credits = '{4}' WHERE account_id = $1`,
      'would have more than it was given',
    ],
  ])('%s: it is refused, and moves nothing', async (_, broken, mended, message) => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 'open');
    await service.owner.query(broken, [user.userId]);
    const before = await snapshot(service.owner);
    const ids = { accountId: user.userId, userId: user.userId, actor: user.userId };
    const movements = {
      hold: `SELECT session_hold('${ids.accountId}', '${JSON.stringify({ ...ids, sessionId: 'x', modelId: SONNET, estimatedTokens: 40_000, bufferPercent: 0, leaseSeconds: 60, rejectUnpriced: false })}')`,
      settle: `SELECT session_settle('${ids.accountId}', '${JSON.stringify({ ...ids, sessionId: 'open', reason: 'finalized', success: true, quantities: { tokens: 0 }, serviceTier: 'standard' })}')`,
    };
    const movement = message.startsWith('would') ? movements.settle : movements.hold;
    await expect(runtime.query(movement)).rejects.toMatchObject({
      code: 'XX001',
      message: expect.stringContaining(message) as string,
    });
    expect(await snapshot(service.owner)).toEqual(before);
    await service.owner.query(mended, [user.userId]);
  });
});
