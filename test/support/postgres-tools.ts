import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
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
  /** Its data and what else commands put into its home. */
  home: string;
  /** Its data stay. */
  end(): Promise<void>;
  /** As end, but at once: what is in memory only is lost. */
  crash(): Promise<void>;
  /** Brings it back on its port after it was ended, with whatever is in its data directory by now. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Runs commands as the server's user, with PGDATA and the login set, in its home or another directory. */
  run(commands: string, env?: Record<string, string>, directory?: string): Promise<void>;
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

/** The commands of the block of this name in a Markdown file, so that a test does what a person is told to do. */
export function documented(file: string, block: string): string {
  const commands = new RegExp(`^ *\`\`\`sh ${block}\\n([^]*?)^ *\`\`\`$`, 'm').exec(
    readFileSync(file, 'utf8'),
  )?.[1];
  if (commands === undefined) throw new Error(`${file} has no block ${block}`);
  return commands;
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
  return cluster(tools, home, launcher, password, settings);
}

/** A streaming replica. */
export async function startReplica(tools: PostgresTools, primary: TestCluster): Promise<TestCluster> {
  const { home, launcher } = await newHome(tools);
  const { host, port, user, password } = primary;
  const from = ['-h', host, '-p', String(port), '-U', user, '-D', join(home, 'data'), '-R', '-X', 'stream'];
  const [program, ...rest] = [
    ...launcher.prefix,
    join(tools.directory, 'pg_basebackup'),
    ...from,
    '-c',
    'fast',
  ];
  execFileSync(program, rest, {
    ...launcher.ids,
    cwd: '/',
    env: { ...process.env, PGPASSWORD: password },
    stdio: 'ignore',
  });
  return cluster(tools, home, launcher, password);
}

async function newHome({ directory }: PostgresTools) {
  const home = await mkdtemp(join(tmpdir(), 'accounting-cluster-'));
  const launcher = await asPostgresUser([join(directory, 'postgres'), join(home, 'x')]);
  await ownedByLauncher(launcher, home);
  return { home, launcher };
}

async function cluster(
  { directory }: PostgresTools,
  home: string,
  launcher: Launcher,
  password: string,
  more: string[] = [],
): Promise<TestCluster> {
  const login = { host: '127.0.0.1', port: await freePort(), user: 'postgres', password };
  const PGDATA = join(home, 'data');
  const settings = [
    ...more,
    `port=${login.port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=off',
  ];
  const as = (command: string[]) => {
    const [program, ...args] = [...launcher.prefix, ...command];
    return { program: program as string, args };
  };
  let end: (signal: NodeJS.Signals) => Promise<void> = () => Promise.resolve();
  const start = async () => {
    const options = settings.flatMap((setting) => ['-c', setting]);
    const { program, args } = as([join(directory, 'postgres'), '-D', PGDATA, ...options]);
    const child = spawn(program, args, { ...launcher.ids, stdio: 'ignore', cwd: '/' });
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    end = (signal) => {
      child.kill(signal);
      return ended;
    };
    await untilReady(login);
  };
  await start();
  return {
    ...login,
    home,
    end: () => end('SIGINT'),
    crash: () => end('SIGQUIT'),
    restart: start,
    stop: async () => {
      await end('SIGINT');
      await rm(home, { recursive: true, force: true });
    },
    run: async (commands, env = {}, cwd = home) => {
      const { program, args } = as(['bash', '-euo', 'pipefail', '-c', commands]);
      await promisify(execFile)(program, args, {
        ...launcher.ids,
        cwd,
        env: {
          PATH: [directory, process.env.PATH].join(delimiter),
          PGDATA,
          PGHOST: login.host,
          PGPORT: String(login.port),
          PGUSER: login.user,
          PGPASSWORD: password,
          ...env,
        },
      });
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
