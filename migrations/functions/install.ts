import { readFileSync } from 'node:fs';
import type { QueryRunner } from 'typeorm';

/** Stays where it is: the ledger's triggers hold on to it. */
const LEDGER_TRIGGER_FUNCTION = 'refuse_ledger_change';

/** Helpers first, then the operations that the service may call. */
const HELPERS = [
  LEDGER_TRIGGER_FUNCTION,
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
  'count_usage',
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
  'forget_idempotency_keys',
];

/**
 * Puts every SQL function in place from its current file, in the migration's transaction: whoever calls one meanwhile
 * gets the old one whole or the new one whole. A migration that changes a function calls this again.
 */
export async function installFunctions(runner: QueryRunner): Promise<void> {
  // An earlier migration installs what a later one has written, and its bodies may name tables that are yet to come.
  await runner.query('SET LOCAL check_function_bodies = off');
  const callers = await dropFunctions(runner);
  for (const name of [...HELPERS, ...OPERATIONS]) {
    await runner.query(readFileSync(new URL(`./${name}.sql`, import.meta.url), 'utf8'));
    await runner.query(`REVOKE ALL ON FUNCTION ${name} FROM PUBLIC`);
  }
  for (const role of callers) await grantOperations(runner, role);
}

/**
 * Drops what is there under these names, whatever its parameters: replacing would leave the old form beside the new.
 *
 * @returns the roles that could call an operation, as quoted identifiers
 */
async function dropFunctions(runner: QueryRunner): Promise<string[]> {
  const names = [...HELPERS, ...OPERATIONS].filter((name) => name !== LEDGER_TRIGGER_FUNCTION);
  const roles = (await runner.query(
    `SELECT DISTINCT quote_ident(r.rolname) AS role
       FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY($1) AND a.grantee <> p.proowner`,
    [OPERATIONS],
  )) as { role: string }[];
  const functions = (await runner.query(
    `SELECT oid::regprocedure::text AS signature FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND proname = ANY($1)`,
    [names],
  )) as { signature: string }[];
  for (const { signature } of functions) await runner.query(`DROP FUNCTION ${signature}`);
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
  'api_keys',
  'migrations',
];

/**
 * Gives the role that the running service uses exactly what it needs. Idempotent; run after every migration.
 *
 * @param role the role's name, already quoted as an identifier
 */
export async function grantRuntimeRole(runner: QueryRunner, role: string): Promise<void> {
  await runner.query(`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ${role}`);
  await runner.query(`GRANT USAGE ON SCHEMA public TO ${role}`);
  await runner.query(`GRANT SELECT ON ${READ_ONLY_TABLES.join(', ')} TO ${role}`);
  await runner.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON pricing_rules TO ${role}`);
  // What has been spent with a key changes with the credits only.
  await runner.query(
    `GRANT INSERT, UPDATE (name, permissions, expires_at, last_used, is_active, revoked_at, credit_limit,
                           gateway_state, gateway_due_at, gateway_attempts)
        ON api_keys TO ${role}`,
  );
  await runner.query(
    `GRANT SELECT,
           INSERT (source, fingerprint, claimed_user, reason, detail, event),
           UPDATE (attempted_at, resolved_at, usage_user_id, usage_id)
        ON usage_quarantine TO ${role}`,
  );
  await grantOperations(runner, role);
}

async function grantOperations(runner: QueryRunner, role: string): Promise<void> {
  for (const name of OPERATIONS) await runner.query(`GRANT EXECUTE ON FUNCTION ${name} TO ${role}`);
}
