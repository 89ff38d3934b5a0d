import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import pg from 'pg';
import type { ServerLogin } from '../../src/postgres-server/open-database.js';
import { initialise } from '../../src/postgres-server/postgres-directory.js';
import { asPostgresUser, type Launcher, ownedByLauncher } from '../../src/postgres-server/postgres-user.js';

/** A directory with the programs of one PostgreSQL release, of those that a machine may have. */
export interface PostgresTools {
  directory: string;
  major: number;
}

export interface TestCluster extends ServerLogin {
  /** Its data stay. */
  end(): Promise<void>;
  stop(): Promise<void>;
}

const OLDEST = 15;
/** Where the packages of the usual systems put what PATH does not name. */
const PLACES = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt', '/usr/pgsql'];

/** The newest PostgreSQL on this machine with all the programs that are named; undefined when there is none. */
export function findPostgresTools(programs: string[]): PostgresTools | undefined {
  const inPlaces = PLACES.filter((place) => existsSync(place)).flatMap((place) =>
    readdirSync(place).map((release) => join(place, release, 'bin')),
  );
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...inPlaces];
  return directories
    .filter((directory) => programs.every((program) => existsSync(join(directory, program))))
    .map((directory) => ({ directory, major: majorOf(join(directory, programs[0] as string)) }))
    .filter(({ major }) => major >= OLDEST)
    .sort((a, b) => b.major - a.major)[0];
}

function majorOf(program: string): number {
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return Number(/\) (\d+)/.exec(version)?.[1] ?? 0);
}

/**
 * A server of these tools on a directory of its own, for the time of a test.
 *
 * @param settings such as `wal_level=logical`, and the password of its superuser
 */
export async function startCluster(
  tools: PostgresTools,
  { settings = [], password = randomUUID() }: { settings?: string[]; password?: string } = {},
): Promise<TestCluster> {
  const { home, launcher } = await newHome(tools);
  await initialise(join(tools.directory, 'initdb'), launcher, join(home, 'data'), 'postgres', password);
  return launch(tools, home, launcher, password, undefined, settings);
}

/** A streaming replica; `restart` brings it back on its port after it was stopped. */
export async function startReplica(
  tools: PostgresTools,
  primary: TestCluster,
): Promise<TestCluster & { restart(): Promise<void> }> {
  const { home, launcher } = await newHome(tools);
  const { host, port, user, password } = primary;
  const [program, ...rest] = [...launcher.prefix, join(tools.directory, 'pg_basebackup')];
  const from = [
    '-h',
    host,
    '-p',
    String(port),
    '-U',
    user,
    '-D',
    join(home, 'data'),
    '-R',
    '-X',
    'stream',
    '-c',
    'fast',
  ];
  execFileSync(program, [...rest, ...from], {
    ...launcher.ids,
    cwd: '/',
    env: { ...process.env, PGPASSWORD: password },
    stdio: 'ignore',
  });
  let running = await launch(tools, home, launcher, password);
  return {
    ...running,
    end: () => running.end(),
    stop: () => running.stop(),
    restart: async () => {
      running = await launch(tools, home, launcher, password, running.port);
    },
  };
}

async function newHome({ directory }: PostgresTools) {
  const home = await mkdtemp(join(tmpdir(), 'accounting-cluster-'));
  const launcher = await asPostgresUser([join(directory, 'postgres'), join(home, 'x')]);
  await ownedByLauncher(launcher, home);
  return { home, launcher };
}

async function launch(
  { directory }: PostgresTools,
  home: string,
  launcher: Launcher,
  password: string,
  port?: number,
  more: string[] = [],
): Promise<TestCluster> {
  port ??= await freePort();
  const settings = [
    ...more,
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=off',
  ];
  const [program, ...rest] = [
    ...launcher.prefix,
    join(directory, 'postgres'),
    '-D',
    join(home, 'data'),
    ...settings.flatMap((setting) => ['-c', setting]),
  ];
  const child = spawn(program as string, rest, { ...launcher.ids, stdio: 'ignore', cwd: '/' });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const login = { host: '127.0.0.1', port, user: 'postgres', password };
  await untilReady(login);
  const end = () => {
    child.kill('SIGINT');
    return ended;
  };
  return {
    ...login,
    end,
    stop: async () => {
      await end();
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function untilReady(login: ServerLogin): Promise<void> {
  for (const deadline = Date.now() + 30_000; ;) {
    const client = new pg.Client({ ...login, database: 'postgres' });
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((again) => setTimeout(again, 50));
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => done(port));
    });
  });
}
