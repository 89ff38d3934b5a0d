import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import {
  createEmbeddedDatabase,
  migrate,
  type ServerLogin,
} from '../../src/postgres-server/open-database.js';
import { startEmbeddedPostgres } from '../../src/postgres-server/embedded-postgres.js';
import { startCitus } from './citus.js';
import { startPooler } from './pooler.js';
import { writeRelease } from './recorded-statements.js';

declare module 'vitest' {
  interface ProvidedContext {
    server: ServerLogin;
    /** Of PgBouncer in transaction mode; null: no test of this run needs it. */
    poolerPort: number | null;
    /** Where the statements of the service are kept; null unless a release is being recorded. */
    recordInto: string | null;
    /** The servers of a Citus cluster, the coordinator first; none where no test of this run needs it. */
    citus: ServerLogin[];
  }
}

/** Every test file's database is a copy of this one. */
export const TEMPLATE = 'template_accounting';

/**
 * One real server for the whole run, with one migrated database to copy from. With TEST_DATABASE_URL (a superuser's
 * connection to another server) the same tests run there.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-test-'));
  const given = process.env.TEST_DATABASE_URL;
  const embedded =
    given === undefined
      ? await startEmbeddedPostgres({
          dataDir: join(directory, 'postgres'),
          // The data lives for one run: nothing is lost when the machine loses power.
          settings: { fsync: 'off', full_page_writes: 'off', max_connections: '300' },
        })
      : undefined;
  const server: ServerLogin = embedded ?? fromUrl(given as string);
  await dropTemplate(server);
  const { ownerUrl } = await createEmbeddedDatabase(server, TEMPLATE);
  const limits = { poolSize: 2, statementTimeoutMilliseconds: 60_000, connectTimeoutMilliseconds: 5000 };
  await migrate(
    { ...limits, url: undefined, migrationUrl: undefined, embeddedDirectory: '' },
    ownerUrl,
    'accounting_app',
  );
  const { host, port, user, password } = server;
  project.provide('server', { host, port, user, password });
  const program = project.vitest.projects.map(({ config }) => config.env?.TEST_POOLER).find(Boolean);
  const pooler = program === undefined ? undefined : await startPooler(program, server, directory);
  project.provide('poolerPort', pooler?.port ?? null);
  const library = project.vitest.projects.map(({ config }) => config.env?.TEST_CITUS).find(Boolean);
  const citus = library === undefined ? [] : await startCitus(library, directory);
  project.provide(
    'citus',
    citus.map(({ host, port, user, password }) => ({ host, port, user, password })),
  );
  const recordInto = process.env.RECORD_RELEASE ? join(directory, 'statements') : null;
  project.provide('recordInto', recordInto);
  return async () => {
    if (recordInto !== null) await writeRelease(recordInto, server, TEMPLATE);
    await pooler?.stop();
    for (const one of citus) await one.stop();
    await embedded?.stop();
    await rm(directory, { recursive: true, force: true });
  };
}

function fromUrl(text: string): ServerLogin {
  const { hostname, port, username, password } = new URL(text);
  return { host: hostname, port: Number(port || 5432), user: username, password };
}

async function dropTemplate(server: ServerLogin): Promise<void> {
  const client = new pg.Client({ ...connection(server), database: 'postgres' });
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE} WITH (FORCE)`);
  await client.end();
}

function connection({ host, port, user, password }: ServerLogin) {
  return { host, port, user, password };
}
