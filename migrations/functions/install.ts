import { readFileSync } from 'node:fs';
import type { QueryRunner } from 'typeorm';

/** PostgreSQL's code for a replacement with another result, or other names or defaults of parameters. */
const CANNOT_REPLACE = '42P13';

/** Helpers first, then the operations that the service may call. */
const HELPERS = [
  'refuse',
  'is_id',
  'is_user_id',
  'iso_time',
  'write_event',
  'tell_review',
  'tell_expired',
  'is_low',
  'tell_balance',
  'api_key_facts',
  'api_key_changed',
  'api_key_answer',
  'api_key_lock',
  'api_key_is_live',
  'api_key_insert',
  'api_key_end_after',
  'refuse_ledger_change',
  'credits_for_tokens',
  'tokens_for_credits',
  'cost_for_tokens',
  'price_for',
  'api_key_room',
  'api_key_count',
  'expire_due_lots',
  'lock_balance',
  'take_credits',
  'return_credits',
  'remembered_answer',
  'remember_answer',
  'allocation_answer',
  'usage_answer',
  'charge_answer',
  'correct_totals',
  'as_counted',
  'count_usage',
  'keep_boards',
  'write_usage',
  'replace_usage',
  'session_cost',
  'session_provider_cost',
  'session_affordable_tokens',
  'session_started_answer',
  'session_settled_answer',
  'session_close',
];

/** The operations the service calls: one each, one round trip each. They run with the owner's rights. */
const OPERATIONS = [
  'account_upsert',
  'available_credits',
  'credit_allocate',
  'credit_deduct',
  'credit_revoke',
  'credit_expire',
  'credit_quote',
  'credit_repair',
  'session_hold',
  'session_progress',
  'session_settle',
  'session_timeout',
  'usage_record',
  'usage_charge',
  'usage_review',
  'usage_close_day',
  'usage_leaders',
  'usage_board',
  'idempotency_earlier',
  'idempotency_keep',
  'forget_idempotency_keys',
  'api_key_create',
  'api_key_rotate',
  'api_key_open',
  'api_key_update',
  'movements',
  'credit_set_low_threshold',
  'events_announce_lots',
  'events_announce_keys',
  'events_announce_ended_keys',
  'events_publish',
  'events_newest',
  'events_forget',
  'webhook_claim',
  'webhook_settle',
  'webhook_delete',
  'webhook_lanes_due',
  'webhook_replay',
];

const ALL = [...HELPERS, ...OPERATIONS];

/**
 * Puts every SQL function in place from its current file, in the migration's transaction. A migration that changes a
 * function calls this again, while instances of the release before go on calling: a function whose parameters are as
 * before is replaced and stays the same one to whoever is about to call it. One with other parameters is put beside the
 * old one, which is dropped; a call in that very moment fails, and the service repeats it.
 *
 * Only the last of the migrations that are run replaces functions: their bodies name columns and tables that others before
 * it have yet to add, and instances of the release before call them all the while. The others add what is not there.
 */
export async function installFunctions(runner: QueryRunner): Promise<void> {
  // An earlier migration installs what a later one has written, and its bodies may name tables that are yet to come.
  await runner.query('SET LOCAL check_function_bodies = off');
  const callers = await rolesThatCall(runner);
  const before = await signatures(runner);
  const replaces = await isLast(runner);
  for (const name of ALL) {
    if (before.has(name) && !replaces) continue;
    const text = readFileSync(new URL(`./${name}.sql`, import.meta.url), 'utf8');
    await replaceFunction(runner, text, before.get(name) ?? []);
  }
  for (const [name, after] of await signatures(runner)) {
    // Two forms of one function would leave it open which of them a call means.
    if (after.length > 1) await dropFunctions(runner, before.get(name) ?? []);
  }
  await runner.query(`REVOKE ALL ON FUNCTION ${ALL.join(', ')} FROM PUBLIC`);
  for (const role of callers) await grantOperations(runner, role);
}

/** Whether no migration comes after the one that is under way, which is not noted yet. */
async function isLast(runner: QueryRunner): Promise<boolean> {
  const rows = (await runner.query('SELECT name FROM migrations')) as { name: string }[];
  const done = new Set(rows.map(({ name }) => name));
  return runner.dataSource.migrations.filter(({ name }) => !done.has(name as string)).length <= 1;
}

async function replaceFunction(runner: QueryRunner, text: string, before: string[]): Promise<void> {
  try {
    await runner.query(`SAVEPOINT replaced; ${text}; RELEASE SAVEPOINT replaced`);
  } catch (error) {
    if ((error as { code?: string }).code !== CANNOT_REPLACE) throw error;
    await runner.query('ROLLBACK TO SAVEPOINT replaced');
    await dropFunctions(runner, before);
    await runner.query(text);
  }
}

async function dropFunctions(runner: QueryRunner, signatures: string[]): Promise<void> {
  for (const signature of signatures) await runner.query(`DROP FUNCTION IF EXISTS ${signature}`);
}

/** The forms in which each of our functions is there. */
async function signatures(runner: QueryRunner): Promise<Map<string, string[]>> {
  const rows = (await runner.query(
    `SELECT proname AS name, array_agg(oid::regprocedure::text) AS forms FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND proname = ANY($1) GROUP BY proname`,
    [ALL],
  )) as { name: string; forms: string[] }[];
  return new Map(rows.map(({ name, forms }) => [name, forms]));
}

/** The roles that may call an operation, as quoted identifiers. */
async function rolesThatCall(runner: QueryRunner): Promise<string[]> {
  const roles = (await runner.query(
    `SELECT DISTINCT quote_ident(r.rolname) AS role
       FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY($1) AND a.grantee <> p.proowner`,
    [OPERATIONS],
  )) as { role: string }[];
  return roles.map(({ role }) => role);
}

/** The tables whose rows the service may only read: they change through the operations alone. */
const READ_ONLY_TABLES = [
  'user_accounts',
  'credit_balances',
  'credit_allocations',
  'credit_ledger',
  'streaming_sessions',
  'usage_records',
  'usage_daily',
  'usage_totals',
  'usage_corrections',
  'usage_reviews',
  'usage_closing',
  'usage_boards',
  'api_keys',
  'event_outbox',
  'events',
  'webhook_deliveries',
  'webhook_lanes',
  'migrations',
];

/**
 * Gives the role that the running service uses exactly what it needs. Idempotent; run after every migration.
 *
 * @param role the role's name, already quoted as an identifier
 */
export async function grantRuntimeRole(runner: QueryRunner, role: string): Promise<void> {
  await runner.query(`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ${role}`);
  // The functions look names up in this schema with their owner's rights: nobody else may put any there.
  await runner.query(`REVOKE CREATE ON SCHEMA public FROM PUBLIC, ${role}`);
  await runner.query(`GRANT USAGE ON SCHEMA public TO ${role}`);
  await runner.query(`GRANT SELECT ON ${READ_ONLY_TABLES.join(', ')} TO ${role}`);
  await runner.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON pricing_rules TO ${role}`);
  // Keys are made and changed by operations; what is left is to end them and to keep them in step with a gateway.
  await runner.query(
    `GRANT UPDATE (last_used, is_active, revoked_at, gateway_state, gateway_due_at, gateway_attempts)
        ON api_keys TO ${role}`,
  );
  await runner.query(
    `GRANT SELECT,
           INSERT (source, fingerprint, claimed_user, reason, detail, event),
           UPDATE (attempted_at, resolved_at, usage_user_id, usage_id)
        ON usage_quarantine TO ${role}`,
  );
  await runner.query(
    `GRANT SELECT, INSERT, DELETE,
           UPDATE (url, event_types, description, is_active, disabled_at, disabled_reason, failing_since, secret,
                   previous_secret, previous_secret_until, updated_at)
        ON webhook_endpoints TO ${role}`,
  );
  await grantOperations(runner, role);
}

async function grantOperations(runner: QueryRunner, role: string): Promise<void> {
  await runner.query(`GRANT EXECUTE ON FUNCTION ${OPERATIONS.join(', ')} TO ${role}`);
}
