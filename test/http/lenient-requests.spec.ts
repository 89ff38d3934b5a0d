import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { balanceOf, expectSoundBooks, initialize, SONNET, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

describe('null in an optional field', () => {
  it('is the same as leaving the field out, defaults included', async () => {
    const userId = freshUser();
    const given = { userId, credits: 10, expiryDays: null, notes: null, email: null, username: null };
    const lot = await root.post('/api/credits/allocate', given);
    expect(lot.status, lot.text).toBe(201);
    const days = (Date.parse(String(lot.body.expiresAt)) - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(30);

    const user = service.as(userId);
    const sessionId = freshUser('session');
    const classes = { estimatedInputTokens: null, estimatedOutputTokens: null, userId: null };
    expect((await initialize(user, sessionId, classes)).status).toBe(201);
    const aborted = await user.post('/api/streaming-sessions/abort', { sessionId, tokensGenerated: null });
    expect(aborted.status, aborted.text).toBe(200);

    const call = { requestId: 'nulls', modelId: SONNET, tokens: 1000 };
    const nulls = { inputTokens: null, metadata: null, service: null, billingStatus: null, credits: null };
    const charge = await user.post<{ record: object }>('/api/usage/charge', { ...call, ...nulls });
    expect(charge.body.record).toMatchObject({ service: 'chat', billingStatus: 'billed', metadata: {} });
    expect((await user.post('/api/usage/charge', call)).status).toBe(200);
  });

  it('is refused where the field is required or unknown', async () => {
    const userId = freshUser();
    expectProblem(await root.post('/api/credits/allocate', { userId, credits: null }), 400, {
      field: 'credits',
    });
    const unknown = await root.post('/api/credits/allocate', { userId, credits: 1, allocatedBy: null });
    expectProblem(unknown, 400, { field: 'allocatedBy' });
  });

  it('keeps its meaning where it takes something away, and changes nothing beside it', async () => {
    const user = await userWithCredits(service);
    const limited = { name: 'limited', creditLimit: 5, expiresAt: '2030-01-01T00:00:00Z' };
    const { body } = await user.post('/api/api-keys', limited);
    const changed = await user.send<object>(
      'PATCH',
      `/api/api-keys/${String(body.id)}`,
      { name: null, permissions: null, creditLimit: null },
      {},
    );
    expect(changed.body).toMatchObject({
      ...limited,
      creditLimit: null,
      expiresAt: '2030-01-01T00:00:00.000Z',
    });
  });
});

describe('a time', () => {
  it('without a zone is UTC, and an empty one in a query is none', async () => {
    const user = await userWithCredits(service);
    const record = (timestamp: string) =>
      service.internal().post('/api/usage/record', {
        userId: user.userId,
        service: 's',
        operation: 'o',
        credits: 1,
        timestamp,
      });
    expect((await record('2026-01-05T23:30:00')).body.timestamp).toBe('2026-01-05T23:30:00.000Z');
    const recordsIn = async (query: string) =>
      (await user.get<{ items: unknown[] }>(`/api/usage/records?${query}`)).body.items.length;
    expect(await recordsIn('startDate=2026-01-05T23:30:00&endDate=2026-01-05T23:30:00')).toBe(1);
    expect(await recordsIn('startDate=2026-01-05T23:30:01&endDate=')).toBe(0);
    expect(await recordsIn('startDate=&endDate=')).toBe(1);
    const key = await user.post('/api/api-keys', { name: 'zone', expiresAt: '2030-06-01T12:00' });
    expect(key.body.expiresAt).toBe('2030-06-01T12:00:00.000Z');
    expectProblem(await user.post('/api/api-keys', { name: 'zone', expiresAt: '' }), 400, {
      field: 'expiresAt',
    });
    for (const bad of ['', '2026-02-30T00:00:00', '2026-01-05T25:00:00', '2026-01-05 23:30:00', ' '])
      expectProblem(await record(bad), 400, { field: 'timestamp' });
  });
});

describe('a trusted service', () => {
  it('asks in the body whether a user it names has the credits', async () => {
    const user = await userWithCredits(service, 10);
    const check = (client: HttpClient) =>
      client.post('/api/credits/check', { userId: user.userId, requiredCredits: 10 });
    expect((await check(service.internal())).body).toMatchObject({ hasSufficientCredits: true });
    expectProblem(await check(service.as()), 403, { code: 'auth.foreign_user' });
  });

  it('makes and ends keys of a user it names, and of no unknown one', async () => {
    const user = await userWithCredits(service, 10);
    const made = await service.internal().post<{ id: number; key: string }>('/api/api-keys', {
      name: 'made for them',
      permissions: ['credits:read'],
      userId: user.userId,
    });
    expect(made.status, made.text).toBe(201);
    const withKey = service.withHeaders({ 'x-api-key': made.body.key });
    expect((await withKey.get('/api/credits/balance')).body).toMatchObject({ userId: user.userId });
    const ended = (userId: string) =>
      service.internal().delete(`/api/api-keys/${made.body.id}?userId=${userId}`);
    const other = await userWithCredits(service);
    expectProblem(await ended(other.userId), 404, { code: 'api_key.not_found' });
    expect((await ended(user.userId)).status).toBe(204);
    expect((await withKey.get('/api/credits/balance')).status).toBe(401);
    const unknown = await service.internal().post('/api/api-keys', { name: 'k', userId: freshUser() });
    expectProblem(unknown, 404, { code: 'account.not_found' });
  });
});

describe('an estimate of 0 tokens', () => {
  it('opens a session that holds nothing', async () => {
    const user = await userWithCredits(service, 10);
    const answer = await initialize(user, freshUser('session'), { estimatedTokens: 0 });
    expect([answer.status, answer.body.allocatedCredits]).toEqual([201, 0]);
    expect((await balanceOf(user)).heldCredits).toBe(0);
  });

  it('is named, with its classes, where all of them are missing', async () => {
    const user = await userWithCredits(service, 10);
    const answer = await user.post('/api/streaming-sessions/initialize', { sessionId: 's', modelId: SONNET });
    expectProblem(answer, 400, { field: 'estimatedTokens' });
    expect(answer.text).toContain('or estimatedInputTokens and estimatedOutputTokens');
  });
});
