import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { distribute } from '../../migrations/distribution.js';
import {
  createEmbeddedDatabase,
  embeddedUrls,
  migrate,
  type ServerLogin,
} from '../../src/postgres-server/open-database.js';
import { startCluster, type TestCluster } from './postgres-tools.js';

const LIMITS = { poolSize: 2, statementTimeoutMilliseconds: 60_000, connectTimeoutMilliseconds: 5000 };
const MIGRATED = { ...LIMITS, url: undefined, migrationUrl: undefined, embeddedDirectory: '' };

/** A Citus cluster: the coordinator first, then the workers. */
export type CitusServers = readonly ServerLogin[];

/**
 * Starts the servers of a cluster, which have no database yet.
 *
 * @param library where Citus is, such as `/usr/lib/postgresql/15/lib/citus.so`
 * @param parent a directory for what they share
 * @param more settings of the servers
 */
export async function startCitus(
  library: string,
  parent: string,
  workers = 2,
  more: string[] = [],
): Promise<TestCluster[]> {
  const tools = { directory: join(dirname(dirname(library)), 'bin'), major: 15 };
  const hba = join(parent, 'pg_hba.conf');
  // They ask each other without a password.
  await writeFile(hba, 'host all all 127.0.0.1/32 trust\n', { mode: 0o644 });
  const settings = [
    'shared_preload_libraries=citus',
    `hba_file=${hba}`,
    'wal_level=logical',
    'max_connections=300',
    'max_prepared_transactions=600',
    'citus.node_conninfo=sslmode=disable',
    // Few: each shard takes a while to make, and one worker has several of them anyhow.
    'citus.shard_count=4',
    ...more,
  ];
  const password = 'of-all-servers';
  return Promise.all(
    Array.from({ length: workers + 1 }, async () => {
      const server = await startCluster(tools, { settings, password });
      // With the roles, which files of tests would make at once.
      await createEmbeddedDatabase(server, 'roles');
      return server;
    }),
  );
}

/** A database on all servers, with Citus and the service's roles, and nothing else. */
export function createCitusDatabase(servers: CitusServers, name: string): Promise<void> {
  return oneAtATime(servers[0] as ServerLogin, () => createOnAll(servers, name));
}

async function createOnAll(servers: CitusServers, name: string): Promise<void> {
  const [coordinator, ...workers] = servers as [ServerLogin, ...ServerLogin[]];
  for (const server of servers) {
    await createEmbeddedDatabase(server, name);
    await asSuperuser(server, name, 'CREATE EXTENSION citus');
  }
  const { host, port } = coordinator;
  await asSuperuser(coordinator, name, `SELECT citus_set_coordinator_host('${host}', ${port})`);
  for (const worker of workers)
    await asSuperuser(coordinator, name, `SELECT citus_add_node('${worker.host}', ${worker.port})`);
}

/** The same, migrated and distributed. */
export async function createDistributedDatabase(servers: CitusServers, name: string): Promise<void> {
  const coordinator = servers[0] as ServerLogin;
  const { ownerUrl } = embeddedUrls(coordinator, name);
  await oneAtATime(coordinator, async () => {
    await createOnAll(servers, name);
    await migrate(MIGRATED, ownerUrl, 'accounting_app', undefined, (runner) =>
      distribute(runner, () => undefined),
    );
  });
}

export async function dropCitusDatabase(servers: CitusServers, name: string): Promise<void> {
  for (const server of servers) await asSuperuser(server, 'postgres', `DROP DATABASE ${name} WITH (FORCE)`);
}

/** Changes of roles, which all databases of a server share: two at once fail. */
export async function oneAtATime<T>(
  { host, port, user, password }: ServerLogin,
  work: () => Promise<T>,
): Promise<T> {
  const gate = new pg.Client({ host, port, user, password, database: 'postgres' });
  await gate.connect();
  try {
    await gate.query('SELECT pg_advisory_lock(1)');
    return await work();
  } finally {
    await gate.end();
  }
}

export async function asSuperuser(server: ServerLogin, database: string, statement: string): Promise<void> {
  const { host, port, user, password } = server;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
