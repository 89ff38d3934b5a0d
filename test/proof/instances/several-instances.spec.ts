import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../../support/http-client.js';
import { initialize, SONNET, times, userWithCredits } from '../../support/money.js';
import { freshUser, startService, type TestService } from '../../support/service.js';

// The races themselves run over two instances as a whole: the project "two instances" in .config/vitest.config.ts.
let first: TestService;
let second: TestService;
beforeAll(async () => {
  first = await startService();
  second = await first.another();
});
afterAll(async () => {
  await second.close();
  await first.close();
});

describe('a new price', () => {
  const priceAt = async (on: HttpClient, modelId: string) =>
    (await on.post('/api/credits/calculate', { modelId, tokens: 1000 })).body.credits;

  it('is the other instance’s at its next request; a session that began before keeps its own', async () => {
    const modelId = freshUser('vendor/model');
    const root = first.as('root', { role: 'admin' });
    const user = await userWithCredits(first, 1000);
    const onSecond = second.as(user.userId);
    const rule = (pricePerThousandTokens: string) =>
      root.post('/api/pricing', { modelId, pricePerThousandTokens });
    expect((await rule('2')).status).toBe(201);
    expect(await priceAt(onSecond, modelId)).toBe(2);
    await initialize(onSecond, 'pinned', { modelId });
    expect((await rule('7')).status).toBe(201);
    expect(await priceAt(onSecond, modelId)).toBe(7);
    await initialize(onSecond, 'fresh', { modelId });
    for (const [sessionId, actualCredits] of [
      ['pinned', 2],
      ['fresh', 7],
    ] as const) {
      const settled = await onSecond.post('/api/streaming-sessions/finalize', {
        sessionId,
        actualTokens: 1000,
      });
      expect(settled.body).toMatchObject({ actualCredits });
    }
  });
});

describe('the rate limit', () => {
  it('is counted by each instance for itself, as the README says', async () => {
    const limits = { RATE_LIMIT_MAX: '3', RATE_LIMIT_WINDOW_SECONDS: '60' };
    const limited = [await first.another(limits), await first.another(limits)];
    const userId = freshUser();
    for (const instance of limited) {
      const user = instance.as(userId);
      const statuses: number[] = [];
      for (let asked = 0; asked < 4; asked++) {
        statuses.push((await user.get(`/api/pricing/${encodeURIComponent(SONNET)}`)).status);
      }
      expect(statuses).toEqual([200, 200, 200, 429]);
    }
    for (const instance of limited) await instance.close();
  });
});

describe('records, charges and holds of the same user over two instances', () => {
  it('never wait for each other in a circle: all of them lock the balance first', async () => {
    const numbers = async () => {
      const { rows } = await first.owner.query<{ deadlocks: string; connections: string }>(
        `SELECT deadlocks, (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections
           FROM pg_stat_database WHERE datname = current_database()`,
      );
      return { deadlocks: Number(rows[0]?.deadlocks), connections: Number(rows[0]?.connections) };
    };
    const user = await userWithCredits(first, 100_000);
    // So that a circle is found before any other limit ends it.
    const { rows } = await first.owner.query<{ name: string }>('SELECT current_database() AS name');
    await first.owner.query(`ALTER DATABASE ${rows[0]?.name} SET deadlock_timeout = '10ms'`);
    const before = await numbers();
    const pair = [await first.another(), await first.another()];
    const statuses = await times(240, async (call) => {
      const on = (pair[call % 2] as TestService).as(user.userId);
      const requestId = `call-${call}`;
      if (call % 3 === 0) {
        const event = { service: 'chat', operation: SONNET, credits: 1 };
        return (await on.post('/api/usage/record', event)).status;
      }
      if (call % 3 === 1) {
        return (await on.post('/api/usage/charge', { requestId, modelId: SONNET, tokens: 1 })).status;
      }
      return (await initialize(on, requestId)).status;
    });
    expect(new Set(statuses)).toEqual(new Set([201]));
    // A connection reports its numbers at its end at the latest.
    for (const instance of pair) await instance.close();
    await expect.poll(async () => (await numbers()).connections).toBeLessThanOrEqual(before.connections);
    expect((await numbers()).deadlocks).toBe(before.deadlocks);
  });
});
