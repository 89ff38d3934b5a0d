import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DatabaseProxy, startDatabaseProxy } from '../../support/database-proxy.js';
import type { HttpClient } from '../../support/http-client.js';
import { expectSoundBooks, initialize, userWithCredits } from '../../support/money.js';
import { INTERNAL_KEY, startService, type TestService } from '../../support/service.js';
import { type CompiledService, compileService, type ServiceProcess } from '../../support/service-process.js';
import { SECRET } from '../../support/tokens.js';

/** Minutes show what memory does: OVERLOAD_SECONDS=300. */
const SECONDS = Number(process.env.OVERLOAD_SECONDS ?? 15);
const POOL_SIZE = 10;
/** Each way: with ten connections the database serves a dozen requests a second. */
const DELAY_MILLISECONDS = 400;
const CLIENTS = 600;
const USERS = 50;
const CONNECT_TIMEOUT_MILLISECONDS = 3000;
const STATEMENT_TIMEOUT_MILLISECONDS = 2000;

let direct: TestService;
let proxy: DatabaseProxy;
let compiled: CompiledService;
let service: ServiceProcess;
beforeAll(async () => {
  direct = await startService();
  proxy = await startDatabaseProxy(direct.databaseUrl);
  compiled = await compileService();
  service = await compiled.start({
    DATABASE_URL: proxy.url,
    DB_POOL_SIZE: String(POOL_SIZE),
    DB_CONNECT_TIMEOUT_MS: String(CONNECT_TIMEOUT_MILLISECONDS),
    DB_STATEMENT_TIMEOUT_MS: String(STATEMENT_TIMEOUT_MILLISECONDS),
    // Together, so many movements go in one statement that they would be no load for this database.
    COMBINE_MOVEMENTS: 'off',
    JWT_ACCESS_SECRET: SECRET,
    INTERNAL_API_KEY: INTERNAL_KEY,
    // A client that is refused at once asks again at once, and meets the rate limit, too.
    RATE_LIMIT_MAX: String(SECONDS * 20),
    RATE_LIMIT_WINDOW_SECONDS: String(SECONDS),
    LOG_LEVEL: 'error',
  });
});
afterAll(async () => {
  await service.stop();
  await compiled.remove();
  await proxy.close();
  await direct.close();
});

interface Seen {
  path: string;
  status: number;
  milliseconds: number;
  hasRetryAfter: boolean;
}

const settled = new Map<string, string>();
const started = new Map<string, string>();

describe('ten times more requests than a slow database can serve', () => {
  it(
    'are answered in bounded time or refused with Retry-After; health stays up, memory flat, nothing half-done',
    async () => {
      const users = await Promise.all(
        Array.from({ length: USERS }, () => userWithCredits(direct, 1_000_000)),
      );
      proxy.delay(DELAY_MILLISECONDS);
      const end = Date.now() + SECONDS * 1000;
      const seen: Seen[] = [];
      const health: Seen[] = [];
      const memory: number[] = [];
      await Promise.all([
        ...Array.from({ length: CLIENTS }, (_, n) => play(users[n % USERS] as HttpClient, n, end, seen)),
        watch(end, health, memory),
      ]);
      proxy.delay(0);

      const accepted = seen.filter(({ status }) => status < 300);
      const counts = Object.fromEntries(
        [...new Set(seen.map(({ status }) => status))].map((status) => [
          status,
          seen.filter((one) => one.status === status).length,
        ]),
      );
      const slowest = percentile(accepted, 1);
      console.log(
        `${seen.length} requests in ${SECONDS} s:`,
        counts,
        `accepted p50 ${percentile(accepted, 0.5)} ms, p99 ${percentile(accepted, 0.99)} ms, slowest ${slowest} ms;`,
        `health p50 ${percentile(health, 0.5)} ms, slowest ${percentile(health, 1)} ms;`,
        `RSS MB ${memory.map((bytes) => Math.round(bytes / 1e6)).join(' ')}`,
      );
      expect(
        Object.keys(counts).filter((status) => !['200', '201', '402', '429', '503'].includes(status)),
      ).toEqual([]);
      expect(seen.length).toBeGreaterThan(10 * accepted.length);
      expect(accepted.length).toBeGreaterThan(SECONDS * 2);
      expect(seen.filter(({ status, hasRetryAfter }) => status > 402 && !hasRetryAfter)).toEqual([]);
      expect(slowest).toBeLessThan(CONNECT_TIMEOUT_MILLISECONDS + STATEMENT_TIMEOUT_MILLISECONDS + 5000);
      expect(new Set(health.map(({ status }) => status))).toEqual(new Set([200]));
      expect(percentile(health, 1)).toBeLessThan(2000);
      const half = memory.length >> 1;
      expect(Math.max(...memory.slice(half))).toBeLessThan(Math.max(...memory.slice(0, half)) * 1.3 + 3e7);

      await expectWhatWasAnswered();
      await expectSoundBooks(direct);
      expect((await direct.as(users[0]?.userId).get('/api/credits/balance')).status).toBe(200);
    },
    (SECONDS + 120) * 1000,
  );
});

/** One client that waits for nothing: a session, its end, the balance, and from the beginning. */
async function play(user: HttpClient, client: number, end: number, seen: Seen[]): Promise<void> {
  const overloaded = user.at(service.url);
  const call = async (path: string, send: () => ReturnType<typeof initialize>) => {
    const begun = Date.now();
    const answer = await send();
    const hasRetryAfter = Number(answer.headers.get('retry-after')) >= 1;
    seen.push({ path, status: answer.status, milliseconds: Date.now() - begun, hasRetryAfter });
    return answer;
  };
  for (let n = 0; Date.now() < end; n++) {
    const sessionId = `overload-${client}-${n}`;
    const { status } = await call('initialize', () => initialize(overloaded, sessionId));
    if (status === 201) {
      started.set(sessionId, user.userId);
      const body = { sessionId, actualTokens: 700 };
      const answer = await call('finalize', () => overloaded.post('/api/streaming-sessions/finalize', body));
      if (answer.status === 200) settled.set(sessionId, user.userId);
    }
    await call('balance', () => overloaded.get('/api/credits/balance'));
  }
}

async function watch(end: number, health: Seen[], memory: number[]): Promise<void> {
  while (Date.now() < end) {
    const begun = Date.now();
    const { status } = await fetch(`${service.url}/health`);
    health.push({ path: 'health', status, milliseconds: Date.now() - begun, hasRetryAfter: false });
    const metrics = await scrape();
    memory.push(Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1]));
    await pause(SECONDS * 20);
  }
}

/** From an address of its own: requests of users who cannot be looked up count for the address of the load. */
async function scrape(): Promise<string> {
  const [answer] = (await once(get(`${service.url}/metrics`, { localAddress: '127.0.0.2' }), 'response')) as [
    IncomingMessage,
  ];
  return text(answer);
}

/** What was answered has happened, once; what was refused has not, or is a session that its sweep will end. */
async function expectWhatWasAnswered(): Promise<void> {
  const { rows } = await direct.owner.query<{ id: string; account_id: string; status: string; used: number }>(
    `SELECT session_id AS id, account_id, status, used_credits::int AS used FROM streaming_sessions`,
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const [id, userId] of started) expect(byId.get(id)?.account_id).toBe(userId);
  for (const id of settled.keys()) expect(byId.get(id)).toMatchObject({ status: 'completed', used: 3 });
  const { rows: usage } = await direct.owner.query<{ count: number }>(
    `SELECT count(*)::int FROM usage_records WHERE session_id IS NOT NULL`,
  );
  expect(usage[0]?.count).toBe(rows.filter(({ status }) => status === 'completed').length);
}

function percentile(all: Seen[], part: number): number {
  const sorted = all.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}
