import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp } from '../app.setup.js';
import { developmentToken } from '../auth/development-token.js';
import { createLogger } from '../common/http/logging.js';
import { loadConfig } from '../config/env.js';
import { openDatabase } from '../postgres-server/open-database.js';
import { reportGatewayCalls } from './gateway.js';
import { playMonth } from './history.js';
import { type LiveTraffic, startLiveTraffic } from './live-traffic.js';
import { makeMonth, type Month } from './month.js';
import { CAST, OFFERED, type Person } from './people.js';
import { startReceiver } from './receiver.js';

export interface DemoOptions {
  readonly port: number;
  readonly users: number;
  readonly seed: number;
}

export interface Demo {
  readonly url: string;
  readonly month: Month;
  readonly tokenOf: (person: Person) => string;
  readonly live: LiveTraffic;
  /** Ends everything and removes it. */
  stop(): Promise<void>;
}

const TOKEN_HOURS = 24;
/** So that lost clients are seen to time out during a demo. */
const LEASE_SECONDS = 120;

/**
 * Starts the service on a month of use, with a database server of its own in a temporary directory.
 *
 * @param signal breaks the start off; nothing is left of it then
 */
export async function startDemo(
  options: DemoOptions,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Demo> {
  await requireFreePort(options.port);
  const directory = await mkdtemp(join(tmpdir(), 'accounting-demo-'));
  // What was begun is ended in the opposite order, however far it has come.
  const ends: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];
  const stop = async () => {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  };
  try {
    return { ...(await start(options, directory, ends, say, signal)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Checked before the month is made, which takes a while. @throws EADDRINUSE */
function requireFreePort(port: number): Promise<void> {
  return new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(port, () => probe.close(() => done()));
  });
}

async function start(
  { port, users, seed }: DemoOptions,
  directory: string,
  ends: (() => Promise<unknown>)[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Omit<Demo, 'stop'>> {
  const internalKey = randomBytes(32).toString('hex');
  const config = {
    ...loadConfig({
      NODE_ENV: 'development',
      PORT: String(port),
      LOG_LEVEL: 'error',
      EMBEDDED_POSTGRES_DIR: join(directory, 'postgres'),
      SESSION_LEASE_SECONDS: String(LEASE_SECONDS),
      INTERNAL_API_KEY: internalKey,
      // The program that receives webhooks is in this process.
      WEBHOOK_ALLOW_HTTP: 'on',
      WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on',
    }),
    developmentPeople: OFFERED,
  };
  say('Starting a database of its own …');
  const database = await openDatabase(config.database);
  ends.push(() => database.close());
  signal.throwIfAborted();
  const month = makeMonth({ seed, users, now: Date.now() });
  say(
    `Playing a month of ${month.people.length} users: ${month.calls.length.toLocaleString('en-US')} steps …`,
  );
  await playMonth(database.ownerUrl, month, config.events, signal);
  const app = await createApp(config, database.url, createLogger(config.logLevel));
  ends.push(() => app.close());
  await app.listen(config.port);
  const { port: actualPort } = app.getHttpServer().address() as AddressInfo;
  const tokenOf = ({ userId, ...claims }: Person) =>
    developmentToken(config, { ...claims, sub: userId }, TOKEN_HOURS);
  const url = `http://localhost:${actualPort}`;
  const local = `http://127.0.0.1:${actualPort}`;
  const receiver = await startReceiver(`${local}/api`, { authorization: `Bearer ${tokenOf(CAST.admin)}` });
  ends.push(() => receiver.stop());
  await reportGatewayCalls(`${local}/api`, internalKey);
  const live = startLiveTraffic(local, month.people, month.organisations, tokenOf, seed);
  ends.push(() => live.stop());
  return { url, month, tokenOf, live };
}

/** What a newcomer is shown first. */
export function welcome({ url, tokenOf, month }: Demo, page: string): string {
  const stories = month.people.filter(({ story }) => story !== undefined);
  return `
A month of use is ready, and chats go on while you look.

  Console    ${page}
  API        ${url}/api
  Swagger UI ${url}/api/docs

Sign in as ${CAST.admin.username}, then look for ${stories.map(({ username, story }) => `${username} (${story})`).join(', ')}.
Organisations: ${month.organisations.map(({ name, story }) => `${name} (${story})`).join('; ')}.
The console signs you in at a click. For programs, tokens that are good for a day:

  admin, ${CAST.admin.username}
${tokenOf(CAST.admin)}

  supervisor, ${CAST.supervisor.username}
${tokenOf(CAST.supervisor)}

  user, ${CAST.user.username}
${tokenOf(CAST.user)}

Ctrl-C ends it and removes everything.
`;
}
