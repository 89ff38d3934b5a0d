import type { AppConfig } from '../../config/env.js';
import { type DatabasePool, LOCK_MILLISECONDS, SESSION_SETTINGS } from './driver.js';

const IS_CITUS = `SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS is`;
const IS_INTERRUPTED = `SELECT to_regclass('distribution_steps') IS NOT NULL AS is`;
const IS_DISTRIBUTED = `SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('credit_balances')) AS is`;

/**
 * Whether the rows of accounts are spread over the servers of a Citus cluster (`npm run distribute`).
 *
 * @throws Error where that was begun and has not ended
 */
export async function isDistributed(pool: DatabasePool): Promise<boolean> {
  const is = async (text: string) => (await pool.run<{ is: boolean }>({ text }))[0]?.is === true;
  if (!(await is(IS_CITUS))) return false;
  if (await is(IS_INTERRUPTED))
    throw new Error('The database is half distributed over its cluster: run distribute again, to its end');
  return is(IS_DISTRIBUTED);
}

/**
 * What the role must have set on each server of a cluster: the servers carry operations out over connections of their own,
 * which know nothing of what this service has set for its own ones.
 */
export function serverSettings({ events }: Pick<AppConfig, 'events'>): Record<string, string> {
  return {
    ...SESSION_SETTINGS,
    lock_timeout: `${LOCK_MILLISECONDS / 1000}s`,
    'accounting.low_threshold': String(events.lowThreshold),
  };
}

/** @throws Error that says what to do */
export async function checkServers(pool: DatabasePool, config: Pick<AppConfig, 'events'>): Promise<void> {
  const wanted = serverSettings(config);
  const names = Object.keys(wanted).map((name) => `'${name}'`);
  const found = await pool.run<{ server: string; success: boolean; result: string }>({
    text: `SELECT nodename || ':' || nodeport AS server, success, result
             FROM pg_dist_node JOIN run_command_on_all_nodes($1) USING (nodeid)
            WHERE noderole = 'primary' AND shouldhaveshards`,
    values: [
      `SELECT json_object_agg(name, current_setting(name, TRUE)) FROM unnest(ARRAY[${names.join(', ')}]) AS name`,
    ],
  });
  for (const { server, success, result } of found) {
    if (!success)
      throw new Error(`The server ${server} of the cluster cannot be used as this role: ${result}`);
    const values = JSON.parse(result) as Record<string, string | null>;
    const wrong = Object.entries(wanted).filter(([name, value]) => values[name] !== value);
    if (wrong.length === 0) continue;
    const [{ role }] = (await pool.run<{ role: string }>({
      text: 'SELECT quote_ident(current_user) AS role',
    })) as [{ role: string }];
    const statements = wrong.map(([name, value]) => `ALTER ROLE ${role} SET ${name} = '${value}';`);
    throw new Error(
      `The server ${server} of the cluster lacks settings of this service. Run this on the coordinator as a superuser:\n` +
        statements.join('\n'),
    );
  }
}
