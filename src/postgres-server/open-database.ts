import { existsSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import pg from 'pg';
import type { QueryRunner } from 'typeorm';
import { Baseline1796688000000, baselineTables } from '../../migrations/1796688000000-baseline.js';
import { isNewerInstalled } from '../../migrations/functions.js';
import { grantRuntimeRole } from '../../migrations/rights.js';
import { AccountingDataSource } from '../../ormconfig.js';
import { connectionPool, DatabasePool, databaseServers } from '../common/database/driver.js';
import { serverList } from '../config/database-servers.js';
import type { DatabaseConfig } from '../config/env.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.js';
import { realDirectory, superuserPassword } from './postgres-directory.js';
import { DirectoryInUse, portOf } from './postgres-ownership.js';

/** How to reach a server as its superuser. */
export interface ServerLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

export interface OpenDatabase {
  /** Connection string of the running service's role. */
  url: string;
  /** Connection string of the schema's owner. */
  ownerUrl: string;
  /** The server this process started itself, if it did. */
  embedded: EmbeddedPostgres | undefined;
  /** Stops the embedded server; does nothing for a database that is not ours. */
  close(): Promise<void>;
}

const OWNER_ROLE = 'accounting_owner';
const RUNTIME_ROLE = 'accounting_app';
const DATABASE_NAME = 'accounting';
const RUNTIME_SETTINGS = 'DATABASE_URL (or DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD)';
/** Any fixed number: instances that start together migrate one after the other. */
const MIGRATION_LOCK = 7_215_063;
const MIGRATION_LOCK_MILLISECONDS = 50;
/** The server notices within about 25 seconds that a migrating process cannot be reached any more. */
const KEEPALIVES = { tcp_keepalives_idle: 10, tcp_keepalives_interval: 5, tcp_keepalives_count: 3 };

/**
 * Gives the service a database that is migrated and ready: the configured one, or the embedded server.
 *
 * @throws when the database cannot be reached or a migration fails; nothing is left running then
 */
export async function openDatabase(
  config: DatabaseConfig,
  log?: (line: string) => void,
  warn?: (line: string) => void,
  afterwards?: (runner: QueryRunner) => Promise<void>,
): Promise<OpenDatabase> {
  if (config.url !== undefined) {
    const ownerUrl = config.migrationUrl ?? config.directUrl ?? config.url;
    const ownerSettings = config.directUrl ? 'DATABASE_DIRECT_URL' : RUNTIME_SETTINGS;
    const owner = await roleOf(
      config,
      ownerUrl,
      config.migrationUrl ? 'MIGRATION_DATABASE_URL' : ownerSettings,
    );
    const role = await roleOf(config, config.url, RUNTIME_SETTINGS);
    await migrate(config, ownerUrl, role === owner ? undefined : role, warn, afterwards);
    return { url: config.url, ownerUrl, embedded: undefined, close: () => Promise.resolve() };
  }
  const embedded = await startEmbeddedPostgres({
    dataDir: config.embeddedDirectory,
    ...(log ? { log } : {}),
  });
  try {
    const urls = await createEmbeddedDatabase(embedded, DATABASE_NAME);
    await migrate(config, urls.ownerUrl, RUNTIME_ROLE, warn);
    return { ...urls, embedded, close: () => embedded.stop() };
  } catch (error) {
    await embedded.stop();
    throw error;
  }
}

/**
 * The database for a tool beside the service: the configured one, that of the embedded server which the service is
 * running, or the embedded server started for as long as the tool needs it.
 */
export async function reachDatabase(config: DatabaseConfig): Promise<Pick<OpenDatabase, 'url' | 'close'>> {
  if (config.url === undefined && !existsSync(config.embeddedDirectory)) {
    throw new Error(
      `There is no database in ${config.embeddedDirectory}: set DATABASE_URL, or EMBEDDED_POSTGRES_DIR`,
    );
  }
  try {
    return await openDatabase(config);
  } catch (error) {
    if (!(error instanceof DirectoryInUse)) throw error;
    const running = await runningServer(config.embeddedDirectory);
    return { url: embeddedUrls(running, DATABASE_NAME).url, close: () => Promise.resolve() };
  }
}

/**
 * Connects once, so that a wrong setting is named before anything is done.
 *
 * @returns the role that the server knows the connection by
 * @throws Error naming the settings to check
 */
async function roleOf(config: DatabaseConfig, connection: string, settings: string): Promise<string> {
  const pool = new DatabasePool({
    servers: databaseServers(connection).servers,
    max: 1,
    connectionTimeoutMillis: config.connectTimeoutMilliseconds,
    answer_timeout: config.connectTimeoutMilliseconds,
  });
  try {
    return (await pool.run<{ role: string }>({ text: 'SELECT current_user AS role' }))[0]?.role as string;
  } catch (error) {
    const { message, errors } = error as AggregateError;
    // A name with several addresses fails once for each, and says nothing itself.
    const reason = message || (errors as Error[] | undefined)?.map((each) => each.message).join(', ');
    throw new Error(
      `Cannot connect to ${describeConnection(connection)}: ${reason}. Check ${settings}, and that the server runs and is reachable from here.`,
    );
  } finally {
    await pool.end();
  }
}

/** A connection string without its secrets. */
export function describeConnection(connection: string): string {
  const urls = serverList(connection).urls.map((url) => new URL(url));
  const hosts = urls.map(({ hostname, port, searchParams }) => {
    const host = searchParams.get('host') ?? hostname;
    return `${host}:${searchParams.get('port') ?? (port || '5432')}`;
  });
  return `PostgreSQL at ${hosts.join(',')}${urls[0]?.pathname}`;
}

/**
 * Creates the two roles and a database on an embedded server, as far as they are missing: the owner migrates, the
 * service works as a role that can write credits only through the SQL functions.
 */
export async function createEmbeddedDatabase(
  server: ServerLogin,
  name: string,
): Promise<{ url: string; ownerUrl: string }> {
  const client = new pg.Client({ ...serverConnection(server), database: 'postgres' });
  await client.connect();
  try {
    for (const role of [OWNER_ROLE, RUNTIME_ROLE]) {
      const { rowCount } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
      if (rowCount === 0) await client.query(`CREATE ROLE ${role}`);
      const password = client.escapeLiteral(rolePassword(server.password, role));
      await client.query(`ALTER ROLE ${role} LOGIN PASSWORD ${password}`);
    }
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (rowCount === 0) {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)} OWNER ${OWNER_ROLE}`);
    }
    // Each time: a start that was killed after the creation has not come to these.
    await client.query(`REVOKE ALL ON DATABASE ${client.escapeIdentifier(name)} FROM PUBLIC`);
    await client.query(`GRANT CONNECT ON DATABASE ${client.escapeIdentifier(name)} TO ${RUNTIME_ROLE}`);
  } finally {
    await client.end();
  }
  return embeddedUrls(server, name);
}

/** Connection strings of both roles for a database on an embedded server. */
export function embeddedUrls(
  server: Omit<ServerLogin, 'user'>,
  name: string,
): { url: string; ownerUrl: string } {
  // Whatever PGSSLMODE says: the server has no certificate.
  const url = (role: string) =>
    `postgresql://${role}:${rolePassword(server.password, role)}@${server.host}:${server.port}/${name}?sslmode=disable`;
  return { url: url(RUNTIME_ROLE), ownerUrl: url(OWNER_ROLE) };
}

/** How to reach the embedded server that another process runs on a directory. */
async function runningServer(directory: string): Promise<Omit<ServerLogin, 'user'>> {
  const dataDir = await realDirectory(directory);
  return { host: '127.0.0.1', port: await portOf(dataDir), password: await superuserPassword(dataDir) };
}

/** Derived, so that one stored secret is enough for every role. */
function rolePassword(superuserPassword: string, role: string): string {
  return createHmac('sha256', superuserPassword).update(role).digest('base64url');
}

function serverConnection(server: ServerLogin): pg.ClientConfig {
  return { host: server.host, port: server.port, user: server.user, password: server.password, ssl: false };
}

/**
 * Runs pending migrations as the owner, one instance at a time, and gives the runtime role what it needs.
 *
 * @param afterwards what else is to be done while no other instance migrates
 */
export async function migrate(
  config: DatabaseConfig,
  ownerUrl: string,
  runtimeRole?: string,
  warn?: (line: string) => void,
  afterwards?: (runner: QueryRunner) => Promise<void>,
): Promise<void> {
  const dataSource = new AccountingDataSource(
    // A migration of a large table takes its time; only ordinary statements have a short limit.
    connectionPool({
      ...config,
      url: ownerUrl,
      directUrl: undefined,
      poolSize: 2,
      statementTimeoutMilliseconds: 3_600_000,
    }),
  );
  await dataSource.initialize();
  const runner = dataSource.createQueryRunner();
  try {
    // A process cut off from its server must not keep the lock, and every later start waiting, for the usual two hours.
    for (const [setting, seconds] of Object.entries(KEEPALIVES))
      await runner.query(`SET ${setting} = ${seconds}`);
    // Nor the locks of a migration, when it is stopped amid one.
    await runner.query(`SET idle_in_transaction_session_timeout = '30s'`);
    await takeMigrationLock(runner, warn);
    await refuseForeignTables(runner);
    await dataSource.runMigrations({ transaction: 'each' });
    // A newer release has granted what its own instances need: an older one that restarts takes nothing away.
    if (runtimeRole !== undefined && !(await isNewerInstalled(runner))) {
      // All at one instant: other instances work as this role meanwhile, and would be refused between two grants.
      await runner.startTransaction();
      await grantRuntimeRole(runner, pg.escapeIdentifier(runtimeRole));
      await runner.commitTransaction();
    }
    await afterwards?.(runner);
    await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
  } finally {
    await runner.release();
    await dataSource.destroy();
  }
}

/**
 * A database with tables of our names that no release of this service has made stays as it is, and so does one whose role has
 * another schema than public.
 *
 * @throws Error that names them
 */
async function refuseForeignTables(runner: QueryRunner): Promise<void> {
  const [{ schema }] = (await runner.query('SELECT current_schema() AS schema')) as [
    { schema: string | null },
  ];
  if (schema !== 'public') {
    throw new Error(
      `The database role does not use the schema public${schema === null ? '' : ` but ${schema}`}, where this service has its ` +
        'tables and functions. Grant it CREATE on the schema public, and set search_path = public for it.',
    );
  }
  const found = (await runner.query(
    `SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE nspname = current_schema() AND relname = ANY ($1) ORDER BY 1`,
    [['migrations', ...baselineTables()]],
  )) as { name: string }[];
  const names = found.map(({ name }) => name);
  const tables = names.filter((name) => name !== 'migrations');
  if (names.length > tables.length) {
    // Read as JSON: another program's table of migrations may have other columns.
    const [known] = (await runner.query(
      `SELECT coalesce(bool_or(to_jsonb(m) ->> 'name' = $1), FALSE) AS "isOurs", count(*) = 0 AS "isEmpty",
              (SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute
                WHERE attrelid = 'migrations'::regclass AND attnum > 0) AS columns
         FROM migrations m`,
      [Baseline1796688000000.name],
    )) as { isOurs: boolean; isEmpty: boolean; columns: string }[];
    // A first start that was killed may have left an empty one.
    const isBegun = known?.isEmpty && known.columns === 'id name timestamp' && tables.length === 0;
    if (known?.isOurs || isBegun) return;
  } else if (tables.length === 0) return;
  throw new Error(
    `The database has tables that this service did not create: ${names.join(', ')}. Nothing was changed. ` +
      'Give the service an empty database of its own; balances of another system are brought over with POST /api/credits/allocate',
  );
}

/**
 * Asks again and again rather than waits in a statement: an index that another instance builds concurrently would wait
 * for that statement to end, and each for the other.
 */
async function takeMigrationLock(
  runner: QueryRunner,
  warn: (line: string) => void = () => undefined,
): Promise<void> {
  let hasWarned = false;
  // A process that stands still, or whose line is gone, must not keep the lock.
  await runner.query(`SET idle_session_timeout = '1min'`);
  const asked = 'SELECT pg_try_advisory_lock($1) AS mine';
  while (!((await runner.query(asked, [MIGRATION_LOCK])) as { mine: boolean }[])[0]?.mine) {
    if (!hasWarned) warn('Waiting: another process is migrating the database');
    hasWarned = true;
    await new Promise((again) => setTimeout(again, MIGRATION_LOCK_MILLISECONDS));
  }
}
