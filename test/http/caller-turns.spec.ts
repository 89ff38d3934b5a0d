import { type ClientRequest, request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { times, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { startService, type TestService } from '../support/service.js';
import { accessToken } from '../support/tokens.js';

let service: TestService;
beforeAll(async () => {
  service = await startService({ DB_CONNECT_TIMEOUT_MS: '500' });
});
afterAll(() => service.close());

const check = (user: HttpClient) => user.post('/api/credits/check', { requiredCredits: 1 });

it('429 with Retry-After on every route for a caller with 128 requests under way, and for no other caller', async () => {
  const [busy, other] = await Promise.all([userWithCredits(service, 100), userWithCredits(service, 100)]);
  const headers = {
    authorization: `Bearer ${accessToken({ sub: busy.userId, role: 'admin' })}`,
    'content-type': 'application/json',
    'content-length': '10',
  };
  const open: ClientRequest[] = [];
  // This route reads its body when the guards have passed: these are under way for as long as it does not come.
  for (let index = 0; index < 128; index++) {
    const unfinished = request(`${service.url}/api/pricing/import`, {
      method: 'POST',
      headers,
      agent: false,
    });
    unfinished.on('error', () => undefined).flushHeaders();
    open.push(unfinished);
  }
  await expect.poll(async () => (await check(busy)).status, { timeout: 20_000 }).toBe(429);
  const refused = await check(busy);
  expectProblem(refused, 429, { code: 'rate_limit.at_once' });
  expect(refused.headers.get('retry-after')).toBe('1');
  expect((await check(other)).status).toBe(200);
  const byService = await service.internal().get(`/api/credits/balance?userId=${busy.userId}`);
  expect(byService.status).toBe(200);
  const { authorization } = headers;
  expect((await check(service.internal({ authorization }))).status).toBe(200);
  const waiting = times(20, () => check(busy));
  for (const unfinished of open) unfinished.destroy();
  for (const { status } of await waiting) expect(status).toBe(200);
});
