import type { QueryRunner } from 'typeorm';
import { grantOperations } from './functions.js';

/** The tables whose rows the service may only read: they change through the operations alone. */
const READ_ONLY_TABLES = [
  'user_accounts',
  'credit_balances',
  'credit_allocations',
  'credit_ledger',
  'last_audit',
  'organisations',
  'units',
  'members',
  'budgets',
  'budget_periods',
  'budget_raises',
  'streaming_sessions',
  'session_places',
  'output_lengths',
  'usage_records',
  'usage_daily',
  'usage_totals',
  'usage_corrections',
  'usage_reviews',
  'usage_closing',
  'usage_leaders',
  'api_keys',
  'api_key_digests',
  'activity',
  'event_outbox',
  'events',
  'webhook_deliveries',
  'webhook_lanes',
  'migrations',
];

/**
 * Gives the role that the running service uses exactly what it needs. Idempotent; run at every start.
 *
 * @param role the role's name, already quoted as an identifier
 */
export async function grantRuntimeRole(runner: QueryRunner, role: string): Promise<void> {
  await runner.query(`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ${role}`);
  // The functions look names up in this schema with their owner's rights: no other role may create anything there.
  await runner.query(`REVOKE CREATE ON SCHEMA public FROM PUBLIC, ${role}`);
  await runner.query(`GRANT USAGE ON SCHEMA public TO ${role}`);
  await runner.query(`GRANT SELECT ON ${READ_ONLY_TABLES.join(', ')} TO ${role}`);
  await runner.query(
    `GRANT SELECT, INSERT, UPDATE (effective_to, superseded_by) ON pricing_rules TO ${role}`,
  );
  await runner.query(`GRANT SELECT, INSERT ON pricing_providers TO ${role}`);
  await runner.query(`GRANT SELECT, INSERT, DELETE ON pricing_aliases TO ${role}`);
  await runner.query(`GRANT SELECT, INSERT, UPDATE (ended_at) ON gateway_accounts TO ${role}`);
  await runner.query(`GRANT SELECT, UPDATE (version) ON gateways TO ${role}`);
  await runner.query(
    `GRANT SELECT, INSERT, DELETE, UPDATE (tokens, renewing_until) ON console_sessions TO ${role}`,
  );
  // Operations create and change keys. The service itself only ends them and keeps them in step with a gateway.
  await runner.query(
    `GRANT UPDATE (last_used, is_active, revoked_at, gateway_state, gateway_due_at, gateway_attempts,
                   gateway_unsure_until)
        ON api_keys TO ${role}`,
  );
  await runner.query(
    `GRANT SELECT,
           INSERT (source, fingerprint, claimed_user, claimed_account, reason, detail, event),
           UPDATE (attempted_at, reason, detail, claimed_account, resolved_at, usage_account_id, usage_id)
        ON usage_quarantine TO ${role}`,
  );
  await runner.query(
    `GRANT SELECT, INSERT, DELETE,
           UPDATE (url, event_types, description, is_active, disabled_at, disabled_reason, deleted_at, resuming_after,
                   failing_since, secret, previous_secret, previous_secret_until, updated_at)
        ON webhook_endpoints TO ${role}`,
  );
  await runner.query(
    `GRANT SELECT, INSERT, DELETE,
           UPDATE (name, recipients, url, event_types, account_id, time_zone, quiet_from, quiet_until, group_seconds, is_active,
                   seen_event_id, due_at, lease, attempts, failing_since, last_error, last_sent_at, updated_at)
        ON alert_rules TO ${role}`,
  );
  await grantOperations(runner, role);
}
