import type { AppConfig } from '../../config/env.js';
import { type DatabasePool, LOCK_MILLISECONDS, SESSION_SETTINGS } from './driver.js';

/**
 * What the role must have set where DATABASE_URL is a pooler in transaction mode: its connections serve many clients, so
 * none of these may set anything for itself.
 */
export function roleSettings({ database, events }: Pick<AppConfig, 'database' | 'events'>) {
  const statementTimeout = String(database.statementTimeoutMilliseconds);
  return {
    ...SESSION_SETTINGS,
    statement_timeout: statementTimeout,
    idle_in_transaction_session_timeout: statementTimeout,
    lock_timeout: String(LOCK_MILLISECONDS),
    'accounting.low_threshold': String(events.lowThreshold),
  };
}

const WHICH_DATABASE = `
  SELECT quote_ident(current_database()) AS name, oid, pg_postmaster_start_time()::text AS started, quote_ident(current_user) AS role
    FROM pg_database WHERE datname = current_database()`;

/**
 * The pooler must lead to the same database as the direct connections, and its connections must have the settings that
 * this service gives its own ones.
 *
 * @throws Error that says what to do
 */
export async function checkPooler(
  pooled: DatabasePool,
  direct: DatabasePool,
  config: AppConfig,
): Promise<void> {
  const reached = (pool: DatabasePool) =>
    pool.run<Record<'name' | 'oid' | 'started' | 'role', string>>({ text: WHICH_DATABASE });
  const [database, other] = [(await reached(pooled))[0], (await reached(direct))[0]];
  if (database?.oid !== other?.oid || database?.started !== other?.started)
    throw new Error('DATABASE_URL and DATABASE_DIRECT_URL lead to different databases');
  const wanted = Object.entries(roleSettings(config));
  const found = await pooled.run<{ name: string; value: string | null }>({
    // In their own units, which current_setting() would change.
    text: `SELECT name, coalesce(s.setting, nullif(current_setting(name, TRUE), '')) AS value
             FROM unnest($1::text[]) AS name LEFT JOIN pg_settings s USING (name)`,
    values: [wanted.map(([name]) => name)],
  });
  const values = new Map(found.map(({ name, value }) => [name, value]));
  const wrong = wanted.filter(([name, value]) => values.get(name) !== value);
  if (wrong.length === 0) return;
  const statements = wrong.map(
    ([name, value]) => `ALTER ROLE ${database?.role} IN DATABASE ${database?.name} SET ${name} = '${value}';`,
  );
  throw new Error(
    'DATABASE_DIRECT_URL is set, so DATABASE_URL is taken for a pooler in transaction mode. Its connections lack settings ' +
      `of this service. Run this as a superuser, then let the pooler reconnect:\n${statements.join('\n')}`,
  );
}
