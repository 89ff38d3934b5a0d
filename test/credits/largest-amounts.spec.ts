import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { balanceOf, endLeases, expectSoundBooks } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

const SESSIONS = '/api/streaming-sessions';
const MOST_TOKENS = 1_000_000_000;
/** The most that an account may own, and the most that one request may name. */
const MOST_CREDITS = 9_000_000_000_000_000;
const MOST_AT_ONCE = 1_000_000_000_000;
const DEAR = 'dear';
/** A hair below the highest price, with all the decimals that there may be. */
const ODD = 'odd';
const EVERY_CLASS = { inputTokens: MOST_TOKENS, outputTokens: MOST_TOKENS, cachedInputTokens: MOST_TOKENS };

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  for (const [modelId, price] of [
    [DEAR, '1000000'],
    [ODD, '999999.999999999999999999'],
  ]) {
    const rule = await root.post('/api/pricing', {
      modelId,
      pricePerThousandTokens: price,
      providerCostPerThousandTokens: '1000000',
    });
    expect(rule.status).toBe(201);
  }
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

const said = ({ status, body }: Answer) => [status, body.code];
const allocate = (user: HttpClient, credits: number, more: object = {}) =>
  root.post('/api/credits/allocate', { userId: user.userId, credits, ...more });

/** A user who owns this much: more than 1,000 lots of an allocation's largest amount have, so one is written by hand. */
async function owner(credits: number): Promise<HttpClient> {
  const user = service.as();
  expect((await allocate(user, 1, { email: `${user.userId}@x.com`, username: 'rich' })).status).toBe(201);
  await service.owner.query(
    `WITH lot AS (
       INSERT INTO credit_allocations (account_id, total_credits, remaining_credits, allocated_by, expires_at)
       VALUES ($1, $2, $2, 'root', now() + interval '3650 days') RETURNING id
     ), balance AS (
       UPDATE credit_balances SET available = available + $2 WHERE account_id = $1 RETURNING available)
     INSERT INTO credit_ledger (account_id, kind, credits, balance_after, allocation_id, actor, created_at)
     SELECT $1, 'allocation', $2, available, id, 'root', now() FROM lot, balance`,
    [user.userId, credits - 1],
  );
  expect((await balanceOf(user)).totalCredits).toBe(credits);
  return user;
}

describe('the largest amounts of one request', () => {
  it('are exact: an estimate of every token at the highest price, its progress, its end and its refund', async () => {
    const user = await owner(MOST_CREDITS);
    const estimate = { estimatedInputTokens: MOST_TOKENS, estimatedOutputTokens: MOST_TOKENS };
    const started = await user.post(`${SESSIONS}/initialize`, { sessionId: 's', modelId: DEAR, ...estimate });
    expect(started).toMatchObject({
      status: 201,
      body: { estimatedCredits: 2e12, allocatedCredits: 2.4e12, remainingCredits: MOST_CREDITS - 2.4e12 },
    });
    const progress = await user.post(`${SESSIONS}/progress`, {
      sessionId: 's',
      tokensGenerated: MOST_TOKENS,
    });
    expect(progress).toMatchObject({
      status: 200,
      body: { usedCredits: 2e12, shouldStop: false, maxAffordableTokens: MOST_TOKENS },
    });
    const end = await user.post(`${SESSIONS}/finalize`, {
      sessionId: 's',
      ...EVERY_CLASS,
      providerCostUsd: '1000000',
    });
    expect(end).toMatchObject({
      status: 200,
      body: { actualCredits: 3e12, overage: 0.6e12, uncollected: 0 },
    });
    expect((await balanceOf(user)).totalCredits).toBe(MOST_CREDITS - 3e12);
  });

  it.each<[what: string, modelId: string, counts: object, credits: number]>([
    ['every class at the highest price', DEAR, EVERY_CLASS, 3e12],
    ['all tokens a hair below the highest price, rounded up once', ODD, { tokens: MOST_TOKENS }, 1e12],
    ['all tokens but one', ODD, { tokens: MOST_TOKENS - 1 }, 1e12 - 1000],
    ['one token', ODD, { tokens: 1 }, 1000],
  ])('are charged exactly: %s', async (_, modelId, counts, credits) => {
    const user = await owner(MOST_CREDITS);
    const charge = await user.post('/api/usage/charge', { requestId: 'r', modelId, ...counts });
    expect(charge).toMatchObject({
      status: 201,
      body: { record: { credits, uncollectedCredits: 0 }, totalCredits: MOST_CREDITS - credits },
    });
    expect((await user.get('/api/usage/stats')).body).toMatchObject({ totalCredits: credits });
  });

  it('are exact when no account has them: 402 with the need, or a record that waits for review', async () => {
    const user = await owner(2);
    const body = { requestId: 'r', modelId: DEAR, ...EVERY_CLASS };
    const refused = await user.post('/api/usage/charge', body);
    expect(refused).toMatchObject({ status: 402, body: { requiredCredits: 3e12, availableCredits: 2 } });
    const kept = await service
      .internal()
      .post('/api/usage/charge', { ...body, userId: user.userId, onInsufficient: 'review' });
    expect(kept).toMatchObject({
      status: 201,
      body: { record: { billingStatus: 'needs_review', uncollectedCredits: 3e12 }, totalCredits: 2 },
    });
    await user.post(`${SESSIONS}/initialize`, { sessionId: 's', modelId: DEAR, estimatedTokens: 1 });
    expect(
      said(
        await user.post(`${SESSIONS}/initialize`, {
          sessionId: 't',
          modelId: DEAR,
          estimatedTokens: MOST_TOKENS,
        }),
      ),
    ).toEqual([402, 'credits.insufficient']);
  });

  it.each([
    ['credits', '/api/credits/allocate', { userId: 'x', credits: MOST_AT_ONCE + 1 }],
    ['credits', '/api/credits/allocate', { userId: 'x', credits: 2 ** 53 }],
    ['credits', '/api/credits/allocate', { userId: 'x', credits: 1e300 }],
    ['expiryDays', '/api/credits/allocate', { userId: 'x', credits: 1, expiryDays: 3651 }],
    ['credits', '/api/credits/deduct', { userId: 'x', credits: MOST_AT_ONCE + 1, notes: 'n' }],
    ['requiredCredits', '/api/credits/check', { requiredCredits: MOST_AT_ONCE + 1 }],
    ['tokens', '/api/credits/calculate', { modelId: DEAR, tokens: MOST_TOKENS + 1 }],
    ['tokens', '/api/usage/charge', { requestId: 'r', modelId: DEAR, tokens: MOST_TOKENS + 1 }],
    [
      'cachedInputTokens',
      '/api/usage/charge',
      { requestId: 'r', modelId: DEAR, inputTokens: 1, outputTokens: 1, cachedInputTokens: 2 ** 53 },
    ],
    ['credits', '/api/usage/record', { service: 's', operation: 'o', credits: MOST_AT_ONCE + 1 }],
    [
      'estimatedTokens',
      `${SESSIONS}/initialize`,
      { sessionId: 's', modelId: DEAR, estimatedTokens: MOST_TOKENS + 1 },
    ],
    ['tokensGenerated', `${SESSIONS}/progress`, { sessionId: 's', tokensGenerated: MOST_TOKENS + 1 }],
    ['actualTokens', `${SESSIONS}/finalize`, { sessionId: 's', actualTokens: MOST_TOKENS + 1 }],
    [
      'providerCostUsd',
      `${SESSIONS}/finalize`,
      { sessionId: 's', actualTokens: 1, providerCostUsd: '1000000.1' },
    ],
    [
      'pricePerThousandTokens',
      '/api/pricing',
      { modelId: 'x', pricePerThousandTokens: '1000000.000000000000000001' },
    ],
    [
      'providerCostPerThousandTokens',
      '/api/pricing',
      { modelId: 'x', pricePerThousandTokens: '1', providerCostPerThousandTokens: '1e99' },
    ],
    ['creditLimit', '/api/api-keys', { name: 'k', creditLimit: MOST_AT_ONCE + 1 }],
    ['expiresAt', '/api/api-keys', { name: 'k', expiresAt: '+275760-09-13T00:00:00Z' }],
    ['expiresAt', '/api/api-keys', { name: 'k', expiresAt: '10000-01-01T00:00:00Z' }],
    ['expiresAt', '/api/api-keys', { name: 'k', expiresAt: '9999-12-31T23:59:59-14:00' }],
    ['expiresAt', '/api/api-keys', { name: 'k', expiresAt: '1970-01-01T00:00:00Z' }],
    [
      'effectiveFrom',
      '/api/pricing',
      { modelId: 'x', pricePerThousandTokens: '1', effectiveFrom: '9999-12-31T23:59:59-00:01' },
    ],
    [
      'timestamp',
      '/api/usage/record',
      { service: 's', operation: 'o', credits: 1, timestamp: '9999-12-31T23:59:59Z' },
    ],
  ])('and what is larger is 400 and names %s: POST %s %j', async (field, path, body) => {
    const answer = await root.post<{ code: string; errors: { field: string }[] }>(path, body);
    expect([answer.status, answer.body.code]).toEqual([400, 'validation.failed']);
    expect(answer.body.errors.map((error) => error.field)).toEqual([field]);
  });

  it('takes the last second of the year 9999 for the end of a key, in any time zone', async () => {
    for (const expiresAt of ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999999999+14:00']) {
      const key = await root.post('/api/api-keys', { name: 'far', expiresAt });
      expect(key.status).toBe(201);
      expect(key.body.expiresAt).toBe(new Date(expiresAt).toISOString());
      const answer = await service.internal().post('/api/api-keys/verify', { key: key.body.key });
      expect(answer.body).toMatchObject({ valid: true, expiresAt: key.body.expiresAt });
    }
  });
});

describe('an account that owns all it may', () => {
  it('422: is given no credit more, counting what its sessions hold, and has every answer exact', async () => {
    const user = await owner(MOST_CREDITS);
    await user.post(`${SESSIONS}/initialize`, {
      sessionId: 's',
      modelId: DEAR,
      estimatedTokens: MOST_TOKENS,
    });
    expect(said(await allocate(user, 1))).toEqual([422, 'credits.balance_limit']);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: MOST_CREDITS - 1.2e12, heldCredits: 1.2e12 });
    await user.post(`${SESSIONS}/abort`, { sessionId: 's', tokensGenerated: 0 });
    expect((await balanceOf(user)).totalCredits).toBe(MOST_CREDITS);
  });

  it('gets back what a late finalize returns, and stays within 2^53 - 1', async () => {
    const user = await owner(MOST_CREDITS);
    const hold = { sessionId: 's', modelId: DEAR, estimatedTokens: MOST_TOKENS };
    expect((await user.post(`${SESSIONS}/initialize`, hold)).status).toBe(201);
    await user.post(`${SESSIONS}/progress`, { sessionId: 's', tokensGenerated: MOST_TOKENS });
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    expect((await balanceOf(user)).totalCredits).toBe(MOST_CREDITS - 1e12);
    expect((await allocate(user, MOST_AT_ONCE)).status).toBe(201);
    expect((await balanceOf(user)).totalCredits).toBe(MOST_CREDITS);
    const late = await user.post(`${SESSIONS}/finalize`, { sessionId: 's', actualTokens: 0 });
    expect(late).toMatchObject({ status: 200, body: { actualCredits: 0, late: true } });
    expect((await balanceOf(user)).totalCredits).toBe(MOST_CREDITS + 1e12);
    expect(said(await allocate(user, 1))).toEqual([422, 'credits.balance_limit']);
  });
});

describe('a late finalize that gives back more than a balance may hold', () => {
  it('422: changes nothing, names the count, and is taken when there is room', async () => {
    const user = await owner(MOST_CREDITS);
    // What four of them give back is more than lies between the limit of allocations and 2^53 - 1.
    const ids = ['s0', 's1', 's2', 's3'];
    for (const sessionId of ids) {
      const estimate = { estimatedInputTokens: MOST_TOKENS, estimatedOutputTokens: MOST_TOKENS };
      await user.post(`${SESSIONS}/initialize`, { sessionId, modelId: DEAR, ...estimate });
      await user.post(`${SESSIONS}/progress`, { sessionId, tokensGenerated: MOST_TOKENS });
    }
    await endLeases(service, user);
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(4);
    expect((await balanceOf(user)).totalCredits).toBe(MOST_CREDITS - 8e12);
    for (let given = 0; given < 8; given++) expect((await allocate(user, MOST_AT_ONCE)).status).toBe(201);
    const finalize = (sessionId: string) =>
      user.post(`${SESSIONS}/finalize`, { sessionId, inputTokens: 0, outputTokens: 0 });
    for (const sessionId of ids.slice(0, 3)) expect((await finalize(sessionId)).status).toBe(200);
    const before = await balanceOf(user);
    expect(before.totalCredits).toBe(MOST_CREDITS + 6e12);
    const refused = await finalize('s3');
    expect(said(refused)).toEqual([422, 'credits.balance_limit']);
    expect(refused.body.errors).toMatchObject([{ field: 'inputTokens' }]);
    expect(await balanceOf(user)).toEqual(before);
    // 2^53 - 1 to the credit: 7,199,254,740,991 above the limit of allocations, of which 6e12 are taken.
    const cost = 2e12 - 1_199_254_740_991;
    const exact = await user.post(`${SESSIONS}/finalize`, {
      sessionId: 's3',
      inputTokens: Math.ceil(cost / 1000),
      outputTokens: 0,
    });
    expect(exact).toMatchObject({ status: 200, body: { late: true } });
    const { totalCredits } = await balanceOf(user);
    expect(totalCredits).toBe(MOST_CREDITS + 8e12 - Math.ceil(cost / 1000) * 1000);
    expect(totalCredits).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
    const last = await user.get<{ items: { balanceAfter: number }[] }>('/api/credits/ledger?limit=1');
    expect(last.body.items[0]?.balanceAfter).toBe(totalCredits);
  });
});
