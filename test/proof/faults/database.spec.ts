import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Movements } from '../../../src/common/database/movements.js';
import { type DatabaseProxy, startDatabaseProxy } from '../../support/database-proxy.js';
import { waitingForLocks } from '../../support/hold-up.js';
import type { Answer, HttpClient } from '../../support/http-client.js';
import { balanceOf, expectSoundBooks, initialize, times, userWithCredits } from '../../support/money.js';
import { startService, type TestService } from '../../support/service.js';

let direct: TestService;
let service: TestService;
let proxy: DatabaseProxy;
let user: HttpClient;
beforeEach(async () => {
  direct = await startService();
  proxy = await startDatabaseProxy(direct.databaseUrl);
  service = await direct.another({
    DATABASE_URL: proxy.url,
    DB_POOL_SIZE: '2',
    DB_CONNECT_TIMEOUT_MS: '400',
    DB_STATEMENT_TIMEOUT_MS: '600',
  });
  user = service.as((await userWithCredits(direct, 1000)).userId);
  await balanceOf(user);
});
afterEach(async () => {
  await expectSoundBooks(direct);
  await service.close();
  await proxy.close();
  await direct.close();
});

const balance = (client: HttpClient) => client.get('/api/credits/balance');

function expectUnavailable(answer: Answer): void {
  expect([answer.status, answer.body.code]).toEqual([503, 'service.unavailable']);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(answer.text).not.toMatch(/ECONN|postgres|SELECT|127\.0\.0\.1/);
}

/** Another transaction holds the user's balance row until `release` is called. */
async function holdBalanceOf(userId: string): Promise<() => Promise<void>> {
  const holder = await direct.owner.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM credit_balances WHERE account_id = $1 FOR UPDATE', [userId]);
  return async () => {
    await holder.query('ROLLBACK');
    holder.release();
  };
}

async function untilWaiting(statements: number): Promise<void> {
  await expect.poll(() => waitingForLocks(direct)).toBe(statements);
}

describe('a database that is down', () => {
  it('503 with Retry-After, also for a user never seen; alive but not ready; back without a restart', async () => {
    const stranger = service.as();
    proxy.cut();
    expectUnavailable(await balance(user));
    expectUnavailable(await initialize(user, 's'));
    expectUnavailable(await balance(stranger));
    expect((await service.anonymous().get('/health')).status).toBe(200);
    expectUnavailable(await service.anonymous().get('/health/ready'));
    proxy.restore();
    expect((await balance(stranger)).status).toBe(200);
    expect((await initialize(user, 's')).status).toBe(201);
    await expect.poll(async () => (await service.anonymous().get('/health/ready')).status).toBe(200);
  });

  it('leaves no request hanging: a network that swallows everything is a 503 within the time limits', async () => {
    proxy.silence();
    const begun = Date.now();
    const answers = await times(6, () => balance(user));
    answers.forEach(expectUnavailable);
    // 0.6 s for the statement, 2 s until the client gives up on a silent server.
    expect(Date.now() - begun).toBeLessThan(8000);
    proxy.restore();
    await expect.poll(async () => (await balance(user)).status).toBe(200);
  });

  it('a statement that takes too long is rolled back whole and is a 503', async () => {
    const release = await holdBalanceOf(user.userId);
    expectUnavailable(await initialize(user, 's'));
    await release();
    expect((await balanceOf(user)).heldCredits).toBe(0);
    expect((await initialize(user, 's')).status).toBe(201);
  });
});

describe('a server that lacks what it needs', () => {
  /** Every new session of the user fails in the database, as when its disk is full. */
  const failSessions = (code: string) =>
    direct.owner.query(`
      CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'could not extend file' USING ERRCODE = '${code}';
      END $$;
      CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON streaming_sessions FOR EACH ROW
        WHEN (NEW.account_id = '${user.userId}') EXECUTE FUNCTION fail()`);

  it.each([
    ['disk full', '53100'],
    ['out of memory', '53200'],
    ['too many connections', '53300'],
    ['an I/O error', '58030'],
    ['a file that is gone', '58P01'],
  ])('503 with Retry-After, and nothing has moved: %s (%s)', async (_, code) => {
    await failSessions(code);
    expectUnavailable(await initialize(user, 's'));
    (await times(6, (index) => initialize(user, `s${index}`))).forEach(expectUnavailable);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 1000, heldCredits: 0 });
  });

  it('is not asked again for each of the movements that went together', async () => {
    await failSessions('53100');
    const release = await holdBalanceOf(user.userId);
    const first = initialize(user, 'first');
    await untilWaiting(1);
    const others = times(8, (index) => initialize(user, `s${index}`));
    await expect.poll(() => service.get(Movements).size).toBe(8);
    proxy.taken();
    await release();
    (await Promise.all([first, others]).then((answers) => answers.flat())).forEach(expectUnavailable);
    expect(proxy.taken()).toEqual(['movements']);
  });
});

describe('a full pool', () => {
  it.each(['on', 'off'])(
    '503 after three seconds for movements of a locked account, long before the statement timeout: COMBINE_MOVEMENTS=%s',
    async (combined) => {
      const patient = await direct.another({
        DB_POOL_SIZE: '2',
        DB_STATEMENT_TIMEOUT_MS: '20000',
        COMBINE_MOVEMENTS: combined,
      });
      const same = patient.as(user.userId);
      await balance(same);
      const release = await holdBalanceOf(user.userId);
      const begun = Date.now();
      (await times(3, (index) => initialize(same, `s${index}`))).forEach(expectUnavailable);
      // Those that arrived while the first one waited go together after it.
      expect(Date.now() - begun).toBeLessThan(12_000);
      await release();
      await patient.close();
      expect((await balanceOf(user)).heldCredits).toBe(0);
    },
  );

  it('503 for requests that get no place in time; those inside finish', async () => {
    const patient = await direct.another({
      DB_POOL_SIZE: '2',
      DB_CONNECT_TIMEOUT_MS: '200',
      DB_STATEMENT_TIMEOUT_MS: '10000',
      // Each on a connection of its own.
      COMBINE_MOVEMENTS: 'off',
    });
    const same = patient.as(user.userId);
    await balance(same);
    const release = await holdBalanceOf(user.userId);
    const inside = [initialize(same, 'a'), initialize(same, 'b')];
    await untilWaiting(2);
    expectUnavailable(await balance(same));
    await release();
    expect((await Promise.all(inside)).map(({ status }) => status)).toEqual([201, 201]);
    expect((await balance(same)).status).toBe(200);
    await patient.close();
  });
});

describe('a connection that breaks while credits move', () => {
  it('moves them once or not at all, and the retry under the same key or id gives one answer', async () => {
    const boss = service.as('boss', { role: 'supervisor' });
    await boss.get('/api/streaming-sessions/active');
    const release = await holdBalanceOf(user.userId);
    const headers = { 'idempotency-key': 'once' };
    const allocate = () => boss.post('/api/credits/allocate', { userId: user.userId, credits: 7 }, headers);
    // One waits for the lock, the other one for its turn.
    const lost = [allocate(), initialize(user, 's')];
    await untilWaiting(1);
    proxy.cut();
    (await Promise.all(lost)).forEach(expectUnavailable);
    // The server does not know that its client is gone: it may finish the statement.
    await release();
    proxy.restore();
    const retried = await Promise.all([allocate(), initialize(user, 's')]);
    expect(retried.map(({ status }) => status < 300)).toEqual([true, true]);
    await untilWaiting(0);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 1003, heldCredits: 4 });
  });

  it('because the server ends it is a 503, and what was sent is not sent again', async () => {
    const release = await holdBalanceOf(user.userId);
    proxy.taken();
    const lost = initialize(user, 's');
    await untilWaiting(1);
    await direct.owner.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    expectUnavailable(await lost);
    expect(proxy.taken()).toEqual(['session_hold']);
    await release();
    expect((await initialize(user, 's')).status).toBe(201);
  });

  it('of an idle connection in the pool ends no process and loses one request at most', async () => {
    await direct.owner.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'llm-accounting-service'`,
    );
    await expect.poll(async () => (await balance(user)).status).toBe(200);
  });
});

describe('stopping', () => {
  it('lets requests under way finish, takes no new ones, and does not wait for idle connections', async () => {
    const stopping = await direct.another();
    const same = stopping.as(user.userId);
    await balance(same);
    const release = await holdBalanceOf(user.userId);
    const underWay = initialize(same, 'last');
    await untilWaiting(1);
    const closed = stopping.close();
    await expect
      .poll(() =>
        balance(same).then(
          () => 'answered',
          () => 'refused',
        ),
      )
      .toBe('refused');
    await release();
    expect((await underWay).status).toBe(201);
    const begun = Date.now();
    await closed;
    expect(Date.now() - begun).toBeLessThan(5000);
    expect((await balanceOf(user)).heldCredits).toBe(4);
  });
});
