import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Changes } from '../../../src/common/database/changes.js';
import { Database } from '../../../src/common/database/database.js';
import { isRefusal, isUnavailable } from '../../../src/common/errors/database-errors.js';
import { type DatabaseProxy, startDatabaseProxy } from '../../support/database-proxy.js';
import { waitingForLocks } from '../../support/hold-up.js';
import { balanceOf, countByStatus, initialize, SONNET, times, userWithCredits } from '../../support/money.js';
import { expectProblem } from '../../support/problems.js';
import { startService, type TestService } from '../../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService({ DB_POOL_SIZE: '4', DB_REPORT_TIMEOUT_MS: '1000' });
});
afterAll(() => service.close());

const SLEEP = { name: 'sleep', text: 'SELECT pg_sleep($1)::text AS slept' };

it('single statements take no connection of movements', async () => {
  const user = await userWithCredits(service, 100);
  const database = service.get(Database);
  const ended: string[] = [];
  const others = times(8, () => database.rows(SLEEP, [0.5]).then(() => ended.push('other')));
  expect((await initialize(user, 'beside others')).status).toBe(201);
  expect(ended).toEqual([]);
  await others;
});

describe('1,200 reads of one user at once, of a database that takes its time', () => {
  it('refuse nothing of another user', async () => {
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const slow = await service.another({ DATABASE_URL: proxy.url, DB_POOL_SIZE: '20' });
    const victim = slow.as((await userWithCredits(service, 1_000_000)).userId);
    const greedy = slow.as();
    await Promise.all([victim, greedy].map(balanceOf));
    proxy.delay(10);
    const reads = times(1200, () => greedy.get('/api/api-keys/1'));
    const others = times(60, () => victim.get('/api/api-keys/1'));
    const holds = await times(60, (index) => initialize(victim, `beside-${index}`));
    expect(countByStatus(holds)).toEqual({ 201: 60 });
    expect(countByStatus(await others)).toEqual({ 404: 60 });
    const answers = await reads;
    for (const status of Object.keys(countByStatus(answers))) expect(['404', '429']).toContain(status);
    await slow.close();
    await proxy.close();
  });
});

it('changes of accounts that are locked leave connections to everything else', async () => {
  const owners = await times(6, () => userWithCredits(service, 100));
  const other = await userWithCredits(service, 100);
  const gate = await service.owner.connect();
  await gate.query('BEGIN');
  await gate.query('SELECT FROM credit_balances WHERE account_id = ANY ($1) FOR UPDATE', [
    owners.map(({ userId }) => userId),
  ]);
  const budget = { scope: 'account', unit: 'credits', window: 'day', amount: 1 };
  const changes = owners.map((owner) => owner.post('/api/budgets', budget));
  await expect.poll(() => waitingForLocks(service), { interval: 5, timeout: 5000 }).toBe(1);
  const begun = performance.now();
  const price = await other.post('/api/credits/calculate', { modelId: SONNET, tokens: 1 });
  expect(price.status, price.text).toBe(200);
  expect(performance.now() - begun).toBeLessThan(1000);
  await gate.query('ROLLBACK');
  gate.release();
  expect(countByStatus(await Promise.all(changes))).toEqual({ 201: 6 });
});

it('a column of another type makes no statement fail, however many connections have prepared it', async () => {
  const database = service.get(Database);
  await service.owner.query(`CREATE TABLE typed AS SELECT 1 AS value; GRANT SELECT ON typed TO PUBLIC`);
  const read = { name: 'typed', text: `SELECT value, pg_sleep(0.2)::text FROM typed` };
  await Promise.all([times(8, () => database.rows(read)), times(2, () => database.report(read))]);
  await service.owner.query('ALTER TABLE typed ALTER value TYPE text');
  expect(await database.rows(read)).toMatchObject([{ value: '1' }]);
  expect(await database.report(read)).toMatchObject([{ value: '1' }]);
  await service.owner.query('DROP TABLE typed');
});

it('a connection that ends between two statements of a transaction is a 503', async () => {
  const error = await service
    .get(Changes)
    .transaction('turn', async (manager) => {
      const [row] = await manager.query<{ pid: number }[]>('SELECT pg_backend_pid() AS pid');
      await service.owner.query('SELECT pg_terminate_backend($1, 1000)', [row?.pid]);
      await new Promise((passed) => setTimeout(passed, 100));
      await manager.query('SELECT 1');
    })
    .catch((thrown: unknown) => thrown);
  expect([isRefusal(error), isUnavailable(error)]).toEqual([false, true]);
});

describe('reports', () => {
  it('take no connection of movements, and wait for each other', async () => {
    const user = await userWithCredits(service, 100);
    const database = service.get(Database);
    const ended: string[] = [];
    const reports = times(3, () => database.report(SLEEP, [0.3]).then(() => ended.push('report')));
    expect((await initialize(user, 'beside')).status).toBe(201);
    const [pool] = database.poolUse().filter(({ pool: name }) => name === 'reports');
    expect(pool).toMatchObject({ limit: 2, total: 2, idle: 0, waiting: 1 });
    expect(ended).toEqual([]);
    await reports;
  });

  it('are ended at their own time limit, which is a 503', async () => {
    await expect(service.get(Database).report(SLEEP, [60])).rejects.toMatchObject({
      status: 503,
      code: 'service.busy',
    });
  });
});

describe('readiness', () => {
  let proxy: DatabaseProxy;
  let probed: TestService;
  beforeEach(async () => {
    proxy = await startDatabaseProxy(service.databaseUrl);
    probed = await service.another({
      DATABASE_URL: proxy.url,
      DB_STATEMENT_TIMEOUT_MS: '60000',
      DB_CONNECT_TIMEOUT_MS: '60000',
    });
    proxy.taken();
  });
  afterEach(async () => {
    proxy.restore();
    await probed.close();
    await proxy.close();
  });

  const ready = () => probed.anonymous().get('/health/ready');

  it('is asked of the database once a second at most, by 1,000 probes at once', async () => {
    const begun = Date.now();
    const answers = await times(1000, ready);
    answers.push(await ready());
    expect(countByStatus(answers)).toEqual({ 200: 1001 });
    const asked = proxy.taken().filter((name) => name === 'health_migrations').length;
    expect(asked).toBeLessThanOrEqual(2 + (Date.now() - begun) / 1000);
  });

  it('503 in a few seconds when the database is silent', async () => {
    proxy.silence();
    const begun = Date.now();
    expectProblem(await ready(), 503);
    expect(Date.now() - begun).toBeLessThan(15_000);
  });
});
