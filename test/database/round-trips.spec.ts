import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { SONNET, userWithCredits } from '../support/money.js';
import { type DatabaseProxy, startDatabaseProxy } from '../support/database-proxy.js';
import { startService, type TestService } from '../support/service.js';

let direct: TestService;
let service: TestService;
let proxy: DatabaseProxy;
let user: HttpClient;
let boss: HttpClient;
let root: HttpClient;
beforeAll(async () => {
  direct = await startService();
  proxy = await startDatabaseProxy(direct.databaseUrl);
  service = await direct.another({ DATABASE_URL: proxy.url, DB_POOL_SIZE: '1' });
  const { userId } = await userWithCredits(direct, 1_000_000);
  user = service.as(userId);
  boss = service.as('boss', { role: 'supervisor' });
  root = service.as('root', { role: 'admin' });
  // Now this instance knows them too.
  await user.get('/api/credits/balance');
  await boss.get('/api/streaming-sessions/active');
  await root.get('/api/streaming-sessions/active');
  proxy.taken();
});
afterAll(async () => {
  await service.close();
  await proxy.close();
  await direct.close();
});

const SESSIONS = '/api/streaming-sessions';
const start = (sessionId: string) => ({ sessionId, modelId: SONNET, estimatedTokens: 1000 });

describe('round trips to the database for a known user', () => {
  it.each<[string, string, () => Promise<{ status: number }>]>([
    ['initialize', 'session_hold', () => user.post(`${SESSIONS}/initialize`, start('a'))],
    ['initialize, repeated', 'session_hold', () => user.post(`${SESSIONS}/initialize`, start('a'))],
    [
      'progress that grows the hold',
      'session_progress',
      () => user.post(`${SESSIONS}/progress`, { sessionId: 'a', tokensGenerated: 90_000 }),
    ],
    [
      'finalize',
      'session_settle',
      () => user.post(`${SESSIONS}/finalize`, { sessionId: 'a', actualTokens: 95_000 }),
    ],
    ['initialize, another', 'session_hold', () => user.post(`${SESSIONS}/initialize`, start('b'))],
    [
      'abort',
      'session_settle',
      () => user.post(`${SESSIONS}/abort`, { sessionId: 'b', tokensGenerated: 10 }),
    ],
    [
      'record with an idempotency key',
      'usage_record',
      () =>
        user.post(
          '/api/usage/record',
          { service: 's', operation: 'o', credits: 1, metadata: { a: 1 } },
          { 'idempotency-key': 'k' },
        ),
    ],
    [
      'allocate with an idempotency key',
      'credit_allocate',
      () =>
        boss.post(
          '/api/credits/allocate',
          { userId: user.userId, credits: 5, notes: 'x' },
          { 'idempotency-key': 'k' },
        ),
    ],
    [
      'charge with an idempotency key',
      'usage_charge',
      () =>
        user.post(
          '/api/usage/charge',
          { requestId: 'r', modelId: SONNET, tokens: 10, metadata: { a: 1 } },
          { 'idempotency-key': 'c' },
        ),
    ],
    [
      'charge, repeated',
      'usage_charge',
      () =>
        user.post('/api/usage/charge', { requestId: 'r', modelId: SONNET, tokens: 10, metadata: { a: 1 } }),
    ],
    [
      'verify',
      'api_keys_verify',
      () => service.internal().post('/api/api-keys/verify', { key: 'ak_unknown', permission: 'usage:write' }),
    ],
    ['balance', 'credit_balance', () => user.get('/api/credits/balance')],
    ['check', 'credit_available', () => user.post('/api/credits/check', { requiredCredits: 1 })],
    ['calculate', 'credit_quote', () => user.post('/api/credits/calculate', { modelId: SONNET, tokens: 1 })],
    ['forecast', 'credit_forecast', () => user.get('/api/credits/forecast')],
    ['usage statistics', 'usage_user_stats', () => user.get('/api/usage/stats')],
    [
      'a page of everyone’s records, with filters',
      '(unnamed)',
      () => root.get('/api/usage/records/all?service=s&billingStatus=recorded'),
    ],
    ['system statistics', 'usage_system_stats', () => root.get('/api/usage/system-stats')],
  ])('%s makes one', async (_, statement, call) => {
    expect((await call()).status).toBeLessThan(300);
    expect(proxy.taken()).toEqual([statement]);
  });

  it('a new user makes one more, once', async () => {
    const fresh = service.as();
    await fresh.get('/api/credits/balance');
    expect(proxy.taken()).toEqual(['account_upsert', 'credit_balance']);
    await fresh.get('/api/credits/balance');
    expect(proxy.taken()).toEqual(['credit_balance']);
  });

  it.each([
    ['a page of prices', 'pricing_in_force', '/api/pricing'],
    ['the prices of a model', 'pricing_of_model', `/api/pricing/${SONNET}`],
  ])('%s reads their components once, and nothing else again', async (_, statement, path) => {
    const another = service.as('reader');
    await another.get('/api/credits/balance');
    const first = await another.get(path);
    proxy.taken();
    const again = await another.get(path);
    expect(proxy.taken()).toEqual([statement]);
    expect(again.body).toEqual(first.body);
  });

  it('an API key makes one more: it is asked for at each request, so that a revoked one fails on the next', async () => {
    const permissions = ['credits:read', 'sessions:write'];
    const { key } = (await user.post<{ key: string }>('/api/api-keys', { name: 'k', permissions })).body;
    proxy.taken();
    expect((await user.get<{ items: unknown[] }>('/api/api-keys')).body.items).toHaveLength(1);
    expect(proxy.taken(), 'a page of keys').toEqual(['api_keys_page']);
    const client = service.withHeaders({ 'x-api-key': key });
    await client.post(`${SESSIONS}/initialize`, start('by-key'));
    expect(proxy.taken()).toEqual(['api_keys_live', 'session_hold']);
    await service.withHeaders({ 'x-api-key': 'no key at all' }).get('/api/credits/balance');
    expect(proxy.taken()).toEqual([]);
  });

  it('a request that is refused before it needs the database makes none', async () => {
    await service.anonymous().get('/api/credits/balance');
    await user.post(`${SESSIONS}/initialize`, { sessionId: '' });
    await user.get('/api/credits/audit');
    expect(proxy.taken()).toEqual([]);
  });
});
