import { fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import pg from 'pg';
import { LEASE_SECONDS } from './scenarios.js';

export const SECRET = randomBytes(32).toString('hex');
const RUNTIME_ROLE = 'accounting_app';
const DATABASE_NAME = 'bench';
const READY_SECONDS = 60;
const LINES_OF_A_REASON = 20;
/** What production relies on; the bench would be worth nothing without. */
const DURABILITY = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' };

/**
 * @typedef {object} Database
 * @property {string} url of the running service's role
 * @property {string} ownerUrl of the schema's owner
 * @property {pg.Pool} owner
 * @property {string} version
 * @property {() => Promise<void>} stop
 */

/**
 * The embedded PostgreSQL server with its default settings and a migrated database.
 *
 * @param {string} dist the built service
 * @param {string} directory where the data is; created when missing
 * @param {Record<string, string>} [settings] of the server, where other than its defaults
 * @returns {Promise<Database>}
 */
export async function startDatabase(dist, directory, settings = {}) {
  const load = (file) => import(pathToFileURL(join(dist, file)).href);
  await import('reflect-metadata');
  const { startEmbeddedPostgres } = await load('src/postgres-server/embedded-postgres.js');
  const { createEmbeddedDatabase, migrate } = await load('src/postgres-server/open-database.js');
  const server = await startEmbeddedPostgres({ dataDir: directory, settings });
  try {
    const { url, ownerUrl } = await createEmbeddedDatabase(server, DATABASE_NAME);
    const limits = { poolSize: 2, statementTimeoutMilliseconds: 60_000, connectTimeoutMilliseconds: 5000 };
    await migrate({ ...limits, embeddedDirectory: directory }, ownerUrl, RUNTIME_ROLE);
    const { host, port, user, password } = server;
    const owner = new pg.Pool({ host, port, user, password, database: DATABASE_NAME, ssl: false, max: 4 });
    owner.on('error', () => undefined);
    const stop = async () => {
      await owner.end();
      await server.stop();
    };
    await requireDurability(owner);
    return { url, ownerUrl, owner, version: await settingOf(owner, 'server_version'), stop };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function requireDurability(owner) {
  for (const [name, wanted] of Object.entries(DURABILITY)) {
    const value = await settingOf(owner, name);
    if (value !== wanted)
      throw new Error(`${name} is ${value}, not ${wanted}: that would measure another thing`);
  }
}

async function settingOf(owner, name) {
  const { rows } = await owner.query('SELECT current_setting($1) AS value', [name]);
  return rows[0].value;
}

/**
 * @typedef {object} Server
 * @property {number} port
 * @property {number} pid
 * @property {() => string} [said] the last of its standard error
 * @property {() => Promise<void>} stop
 */

/**
 * The built service as a process of its own, as in production.
 *
 * @param {string} dist
 * @param {string} databaseUrl
 * @param {Record<string, string>} env further variables
 * @returns {Promise<Server>}
 */
export async function startService(dist, databaseUrl, env) {
  const port = await freePort();
  const child = spawn(process.execPath, ['--enable-source-maps', join(dist, 'src/main.js')], {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      JWT_ACCESS_SECRET: SECRET,
      // No caller is refused, and no session times out.
      RATE_LIMIT_MAX: '1000000000',
      SESSION_LEASE_SECONDS: String(LEASE_SECONDS),
      ...env,
    },
    // A group of its own, as the others have: Ctrl-C reaches the bench alone, which stops what it has started.
    detached: true,
    // Its log is written, one line per request, but not kept.
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-10_000)));
  const reason = () => said.trim().split('\n').slice(-LINES_OF_A_REASON).join('\n');
  for (const deadline = Date.now() + READY_SECONDS * 1000; ; await pause(50)) {
    if (child.exitCode !== null) throw new Error(`the service ended at its start: ${reason()}`);
    if (Date.now() > deadline) throw new Error(`the service did not become ready: ${reason()}`);
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
    if (answer?.ok) return { port, pid: child.pid, said: reason, stop: () => ended(child) };
  }
}

/**
 * @param {object} settings see floor.js
 * @returns {Promise<Server>}
 */
export async function startFloor(settings) {
  const child = fork(fileURLToPath(new URL('floor.js', import.meta.url)), {
    env: { PATH: process.env.PATH, NODE_ENV: 'production' },
    detached: true,
  });
  child.send(settings);
  return { port: await replyOf(child), pid: child.pid, stop: () => ended(child) };
}

/**
 * The load generator, see load.js.
 *
 * @returns {{ run(job: object): Promise<import('./load.js').Seen>, stop(): Promise<void> }}
 */
export function startGenerator() {
  const child = fork(fileURLToPath(new URL('load.js', import.meta.url)), { detached: true });
  return {
    run: async (job) => {
      child.send(job);
      const { error, seen } = await replyOf(child);
      if (error !== undefined) throw new Error(error);
      return seen;
    },
    stop: () => ended(child),
  };
}

/** @returns {Promise<any>} the next message; rejects when the process ends before it */
function replyOf(child) {
  return new Promise((done, fail) => {
    const onExit = (code) => fail(new Error(`a process of the bench ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      done(message);
    });
  });
}

async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

function freePort() {
  return new Promise((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}
