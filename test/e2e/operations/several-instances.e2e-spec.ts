import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../../support/http-client.js';
import { initialize, SONNET, userWithCredits } from '../../support/money.js';
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
