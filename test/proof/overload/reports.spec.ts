import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitingForLocks } from '../../support/hold-up.js';
import type { HttpClient } from '../../support/http-client.js';
import { countByStatus, initialize, userWithCredits } from '../../support/money.js';
import { organisation as makeOrganisation } from '../../support/organisations.js';
import { expectProblem } from '../../support/problems.js';
import { recordUsage } from '../../support/sql.js';
import { startService, type TestService } from '../../support/service.js';
import { accessToken } from '../../support/tokens.js';

const STATS = '/api/usage/stats';
const RECORDS = '/api/usage/records';
const asCsv = { accept: 'text/csv' };

let service: TestService;
let victim: HttpClient;
beforeAll(async () => {
  // A reader who takes nothing is cut off after this long.
  service = await startService({ REQUEST_TIMEOUT_SECONDS: '2' });
  victim = await userWithCredits(service, 1_000_000);
});
afterAll(() => service.close());

const times = <T>(count: number, make: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));
const holds = (count: number) => times(count, (index) => initialize(victim, `hold-${Date.now()}-${index}`));

/** Locks a table, so that every report over it is held up for as long as the work takes. */
async function whileLocked<T>(table: string, work: () => Promise<T>): Promise<T> {
  const gate = await service.owner.connect();
  await gate.query(`BEGIN; LOCK ${table} IN ACCESS EXCLUSIVE MODE`);
  try {
    return await work();
  } finally {
    await gate.query('ROLLBACK');
    gate.release();
  }
}
const heldUp = (count: number) => expect.poll(() => waitingForLocks(service), { timeout: 5000 }).toBe(count);

describe('reports', () => {
  it('are one at a time for each caller and as many in all as have a connection, and keep no hold waiting', async () => {
    const users = [service.as(), service.as(), service.as(), service.as()];
    for (const user of users) await user.get('/api/credits/balance');
    const answers = await whileLocked('usage_daily', async () => {
      const first = times(90, () => (users[0] as HttpClient).get(STATS));
      await heldUp(1);
      const others = users.slice(1).map((user) => user.get(STATS));
      await heldUp(2);
      expect(countByStatus(await holds(10))).toEqual({ 201: 10 });
      expect(await waitingForLocks(service)).toBe(2);
      return [first, Promise.all(others)];
    });
    expect(countByStatus((await Promise.all(answers)).flat())).toEqual({ 200: 93 });
  });

  it('are one at a time also for a caller who accepts CSV from a route that has none', async () => {
    const user = service.as();
    await user.get('/api/credits/balance');
    const answers = await whileLocked('usage_daily', async () => {
      const reports = times(6, () => user.get(STATS, asCsv));
      await heldUp(1);
      await holds(10);
      expect(await waitingForLocks(service)).toBe(1);
      return [reports];
    });
    expect(countByStatus((await answers[0]) ?? [])).toEqual({ 200: 6 });
  });

  it('429 with Retry-After for a caller with a hundred waiting, and others are served', async () => {
    const [busy, other] = [service.as(), service.as()];
    for (const user of [busy, other]) await user.get('/api/credits/balance');
    const answers = await whileLocked('usage_daily', async () => {
      const waiting = times(101, () => busy.get(STATS));
      await heldUp(1);
      const refused = await busy.get(STATS);
      expectProblem(refused, 429, { code: 'rate_limit.reports' });
      expect(refused.headers.get('retry-after')).toBe('1');
      return [waiting, Promise.all([other.get(STATS)])];
    });
    expect(countByStatus((await Promise.all(answers)).flat())).toEqual({ 200: 102 });
  });

  it('have a time limit of their own, also those of the whole system, and say so', async () => {
    const strict = await service.another({ DB_REPORT_TIMEOUT_MS: '500' });
    const root = strict.as('root', { role: 'admin' });
    for (const path of [STATS, '/api/usage/system-stats']) {
      const answer = await whileLocked('usage_daily', () => root.get(path));
      expectProblem(answer, 503, { code: 'service.busy' });
      expect(answer.headers.get('retry-after')).toBe('10');
    }
    await strict.close();
  });

  it('keep their turn to the end of their statement when the caller hangs up', async () => {
    const user = service.as();
    await user.get('/api/credits/balance');
    const answer = await whileLocked('usage_daily', async () => {
      const headers = { authorization: `Bearer ${accessToken({ sub: user.userId })}` };
      // Not by fetch, which opens another connection in place of one it has given up.
      const abandoned = request(service.url + STATS, { headers, agent: false }).on('error', () => undefined);
      abandoned.end();
      await heldUp(1);
      abandoned.destroy();
      const next = user.get(STATS);
      await holds(10);
      expect(await waitingForLocks(service)).toBe(1);
      return [next];
    });
    expect((await answer[0])?.status).toBe(200);
  });
});

describe('lists whose answers may be large', () => {
  let owner: HttpClient;
  let root: HttpClient;
  let organisation: string;
  let budget: number;
  beforeAll(async () => {
    const acme = await makeOrganisation(service);
    [owner, organisation] = [acme.owner, acme.id];
    budget = await acme.budget({ scope: 'account', unit: 'credits', window: 'day', amount: 1 });
    root = service.as('root', { role: 'admin' });
    await root.get('/api/credits/balance');
  });

  it.each([
    ['pricing_rules', () => '/pricing'],
    ['pricing_rules', () => '/pricing/gpt-4o'],
    ['pricing_aliases', () => '/pricing/aliases'],
    ['units', () => `/organisations/${organisation}/units`],
    ['members', () => `/organisations/${organisation}/members`],
    ['organisations', () => '/organisations'],
    ['budget_periods', () => `/budgets/${budget}/periods?accountId=${organisation}`],
    ['credit_ledger', () => '/credits/ledger'],
    ['streaming_sessions', () => '/streaming-sessions/active'],
    ['credit_ledger', () => '/credits/ledger/someone'],
    ['streaming_sessions', () => '/streaming-sessions/active/all'],
    ['streaming_sessions', () => '/streaming-sessions/active/someone'],
    ['usage_records', () => '/usage/needs-review'],
  ])('are one at a time for each caller, as reports are: %s, %o', async (table, path) => {
    const reader = /all|someone|review/.test(path()) ? root : owner;
    const answers = await whileLocked(table, async () => {
      const lists = times(6, () => reader.get(`/api${path()}`));
      await heldUp(1);
      await new Promise((passed) => setTimeout(passed, 100));
      expect(await waitingForLocks(service)).toBe(1);
      return [lists];
    });
    expect(Object.keys(countByStatus((await answers[0]) ?? []))).toHaveLength(1);
  });
});

const TIME = `'2026-01-01'::timestamptz + n % 300 * interval '1 day'`;

it('statistics of the worst data of one user are small, and refuse none of the holds of others', async () => {
  const attacker = service.as();
  await attacker.get('/api/credits/balance');
  await service.owner.query(
    `SELECT count(${recordUsage('$1::text', TIME, `left(n || repeat('é', 50), 50)`, `left(n || repeat('é', 100), 100)`, 'n')}),
            count(${recordUsage('$1::text', TIME, `'chat'`, `left(n % 20 || repeat('é', 100), 100)`, 'n')})
       FROM generate_series(1, 6000) n`,
    [attacker.userId],
  );
  const reports = times(30, () => attacker.get(STATS));
  expect(countByStatus(await holds(60))).toEqual({ 201: 60 });
  for (const { status, text } of await reports) {
    expect(status).toBe(200);
    expect(Buffer.byteLength(text)).toBeLessThan(2_000_000);
  }
});

describe('downloads', () => {
  let reader: HttpClient;
  beforeAll(async () => {
    reader = service.as();
    await reader.get('/api/credits/balance');
    // 24 MB: more than a connection takes without a reader.
    await service.owner.query(
      `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status)
       SELECT $1::varchar, $1::varchar, now(), 's', 'o', 0, jsonb_build_object('text', repeat('x', 8000)), 'recorded'
         FROM generate_series(1, 3000)`,
      [reader.userId],
    );
  });
  /** Begins a download and reads nothing of it. */
  const begin = (user: HttpClient, method = 'GET') =>
    fetch(service.url + RECORDS, {
      method,
      headers: { ...asCsv, authorization: `Bearer ${accessToken({ sub: user.userId })}` },
    });

  it('are four at a time for each caller, and a client that reads nothing keeps its turn for a bounded time', async () => {
    const unread = await times(4, () => begin(reader));
    expect(unread.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expectProblem(await reader.get(RECORDS, asCsv), 429, { code: 'rate_limit.reports' });
    expect((await victim.get(RECORDS, asCsv)).status).toBe(200);
    expect((await reader.get(`${RECORDS}?limit=1`)).status).toBe(200);
    const again = async () => {
      const answer = await begin(reader);
      unread.push(answer);
      return answer.status;
    };
    await expect.poll(again, { timeout: 20_000, interval: 500 }).toBe(200);
    for (const answer of unread) await answer.body?.cancel().catch(() => undefined);
  });

  it('are sent whole to a client that reads, however long that takes', async () => {
    const whole = service.as('whole');
    await whole.get('/api/credits/balance');
    await service.owner.query('UPDATE usage_records SET account_id = $2 WHERE account_id = $1', [
      reader.userId,
      whole.userId,
    ]);
    const { status, text } = await whole.get(RECORDS, asCsv);
    expect(status).toBe(200);
    expect(text.split('\r\n')).toHaveLength(3002);
  });

  it('read the ledger in one turn at a time for each caller, as reports do', async () => {
    const three = await whileLocked('credit_ledger', async () => {
      const begun = times(3, () => victim.get('/api/credits/ledger', asCsv));
      await heldUp(1);
      await pause(300);
      expect(await waitingForLocks(service)).toBe(1);
      return { begun };
    });
    expect((await three.begun).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it('are not begun for HEAD', async () => {
    await whileLocked('usage_records', async () => {
      const answer = await begin(victim, 'HEAD');
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    });
  });
});
