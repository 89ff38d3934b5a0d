import { readFileSync } from 'node:fs';
import type { QueryRunner } from 'typeorm';

/** Helpers first, then the operations that the service may call. */
const HELPERS = [
  'refuse_ledger_change',
  'credits_for_tokens',
  'tokens_for_credits',
  'price_for',
  'expire_due_lots',
  'lock_balance',
  'take_credits',
  'return_credits',
  'remembered_answer',
  'remember_answer',
  'allocation_answer',
  'usage_answer',
  'count_usage',
  'write_usage',
  'replace_usage',
  'session_cost',
  'session_affordable_tokens',
  'session_started_answer',
  'session_settled_answer',
  'session_close',
];

/** The operations the service calls: one each, one round trip each. They run with the owner's rights. */
const OPERATIONS = [
  'account_upsert',
  'credit_allocate',
  'credit_deduct',
  'credit_revoke',
  'credit_expire',
  'credit_quote',
  'session_hold',
  'session_progress',
  'session_settle',
  'session_timeout',
  'usage_record',
  'forget_idempotency_keys',
];

/**
 * Creates or replaces every SQL function from its current file. A migration that changes a function calls this again.
 * Execution is taken from PUBLIC; `grantRuntimeRole` gives the operations to the service's role.
 */
export async function installFunctions(runner: QueryRunner): Promise<void> {
  for (const name of [...HELPERS, ...OPERATIONS]) {
    await runner.query(readFileSync(new URL(`./${name}.sql`, import.meta.url), 'utf8'));
    await runner.query(`REVOKE ALL ON FUNCTION ${name} FROM PUBLIC`);
  }
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
  for (const name of OPERATIONS) await runner.query(`GRANT EXECUTE ON FUNCTION ${name} TO ${role}`);
}
