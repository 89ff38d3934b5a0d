// @module-tag two-instances
// @module-tag pooler
// @module-tag cluster
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitingForLocks } from '../support/hold-up.js';
import { allocateCredits } from '../support/sql.js';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import {
  balanceOf,
  endLeases,
  expectSoundBooks,
  expireLots,
  initialize,
  ledgerOf,
  SONNET,
  times,
  userWithCredits,
} from '../support/money.js';
import { freshUser, startService, type TestService } from '../support/service.js';

const SESSIONS = '/api/streaming-sessions';

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  // Priced by class: 2 credits per 1,000 input, 10 per 1,000 output, 0.5 per 1,000 cached input.
  await root.post('/api/pricing', {
    modelId: 'by-class',
    pricePerThousandTokens: '4',
    pricePerThousandInputTokens: '2',
    pricePerThousandOutputTokens: '10',
    pricePerThousandCachedInputTokens: '0.5',
  });
  await root.post('/api/pricing', { modelId: 'free', pricePerThousandTokens: '0' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

const progress = (user: HttpClient, sessionId: string, tokensGenerated: number) =>
  user.post(`${SESSIONS}/progress`, { sessionId, tokensGenerated });
const finalize = (user: HttpClient, sessionId: string, body: object) =>
  user.post(`${SESSIONS}/finalize`, { sessionId, ...body });
const abort = (user: HttpClient, sessionId: string, tokensGenerated?: number) =>
  user.post(`${SESSIONS}/abort`, {
    sessionId,
    ...(tokensGenerated === undefined ? {} : { tokensGenerated }),
  });
const refusal = (answer: Answer) => [answer.status, answer.body.code];

interface RecordBody {
  usageSource: string | null;
  id: number;
  service: string;
  operation: string;
  credits: number;
  billingStatus: string;
  uncollectedCredits: number;
  providerCostUsd: string | null;
  metadata: Record<string, unknown>;
}
async function recordsOf(user: HttpClient): Promise<RecordBody[]> {
  return (await user.get<{ items: RecordBody[] }>('/api/usage/records')).body.items;
}

describe('POST /streaming-sessions/initialize', () => {
  it('201: holds the estimate plus 20 %, rounded up', async () => {
    const user = await userWithCredits(service, 1000);
    const answer = await initialize(user, 's');
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      sessionId: 's',
      userId: user.userId,
      modelId: SONNET,
      estimatedCredits: 3,
      allocatedCredits: 4,
      usedCredits: 0,
      status: 'active',
      remainingCredits: 996,
    });
    const { startedAt, expiresAt } = answer.body as Record<string, string>;
    expect(Date.parse(expiresAt as string) - Date.parse(startedAt as string)).toBe(900_000);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 996, heldCredits: 4 });
    expect(await ledgerOf(user)).toMatchObject([
      { kind: 'hold', credits: -4, balanceAfter: 996, sessionId: 's' },
      { kind: 'allocation' },
    ]);
  });

  it('201: prices an estimate by classes', async () => {
    const user = await userWithCredits(service, 1000);
    const answer = await user.post(`${SESSIONS}/initialize`, {
      sessionId: 's',
      modelId: 'by-class',
      estimatedInputTokens: 1500,
      estimatedOutputTokens: 1200,
    });
    expect(answer.body).toMatchObject({ estimatedCredits: 15, allocatedCredits: 18, pricingSource: 'rule' });
  });

  it('201: a model that costs nothing holds nothing, and ends with a record of 0', async () => {
    const user = await userWithCredits(service);
    expect((await initialize(user, 's', { modelId: 'free' })).body).toMatchObject({ allocatedCredits: 0 });
    expect((await progress(user, 's', 10_000)).body).toMatchObject({ usedCredits: 0, shouldStop: false });
    expect((await finalize(user, 's', { actualTokens: 10_000 })).body).toMatchObject({ actualCredits: 0 });
    expect(await recordsOf(user)).toMatchObject([{ credits: 0, billingStatus: 'billed' }]);
    expect(await ledgerOf(user)).toEqual([]);
  });

  it('200: the same call again gives the same session and moves nothing', async () => {
    const user = await userWithCredits(service, 1000);
    const first = await initialize(user, 's');
    await initialize(user, 'other');
    const again = await initialize(user, 's');
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect((await balanceOf(user)).heldCredits).toBe(8);
  });

  it('200: a repeat returns the first answer, also after progress has grown the hold', async () => {
    const user = await userWithCredits(service, 1000);
    const first = await initialize(user, 's');
    await progress(user, 's', 50_000);
    const { expiresAt: _renewed, ...again } = (await initialize(user, 's')).body;
    const { expiresAt: _first, ...started } = first.body;
    expect(again).toEqual(started);
  });

  it('201: holds the declared maximum without a buffer while nothing is known of the model, and the same again', async () => {
    const user = await userWithCredits(service, 1000);
    const declared = { sessionId: 's', modelId: 'by-class', inputTokens: 1500, maxOutputTokens: 1200 };
    const answer = await user.post(`${SESSIONS}/initialize`, declared);
    expect([answer.status, answer.body]).toMatchObject([
      201,
      { estimatedCredits: 15, allocatedCredits: 15, estimateSource: 'ceiling', maxAffordableTokens: 99_700 },
    ]);
    const again = await user.post(`${SESSIONS}/initialize`, declared);
    expect([again.status, again.text]).toEqual([200, answer.text]);
    for (const other of [{ maxOutputTokens: 1199 }, { inputTokens: 1499 }])
      expect(refusal(await user.post(`${SESSIONS}/initialize`, { ...declared, ...other }))).toEqual([
        409,
        'session.conflict',
      ]);
    const estimate = { inputTokens: undefined, maxOutputTokens: undefined };
    expect(
      refusal(
        await user.post(`${SESSIONS}/initialize`, {
          ...declared,
          ...estimate,
          estimatedInputTokens: 1500,
          estimatedOutputTokens: 1200,
        }),
      ),
    ).toEqual([409, 'session.conflict']);
    // No buffer goes beyond the maximum; tokens that come all the same are held.
    expect((await progress(user, 's', 1200)).body).toMatchObject({ allocatedCredits: 15, shouldStop: false });
    expect((await progress(user, 's', 1300)).body).toMatchObject({ usedCredits: 16, allocatedCredits: 16 });
    expect((await abort(user, 's')).body).toMatchObject({ partialCredits: 16, refund: 0, overage: 0 });
  });

  it('402: says how many output tokens would fit, and these fit without a buffer', async () => {
    const user = await userWithCredits(service, 17);
    const declared = { modelId: 'by-class', inputTokens: 1500, maxOutputTokens: 4096 };
    const answer = await user.post(`${SESSIONS}/initialize`, { ...declared, sessionId: 's' });
    expect(answer.body).toMatchObject({ status: 402, requiredCredits: 44, maxAffordableTokens: 1400 });
    const most = { ...declared, maxOutputTokens: 1400 };
    expect((await user.post(`${SESSIONS}/initialize`, { ...most, sessionId: 's' })).body).toMatchObject({
      allocatedCredits: 17,
      maxAffordableTokens: 1400,
    });
  });

  it('400: inputTokens and maxOutputTokens go together, and with no estimate', async () => {
    const user = await userWithCredits(service, 1000);
    for (const [body, ...fields] of [
      [{ inputTokens: 1 }, 'inputTokens'],
      [{ maxOutputTokens: 1 }, 'maxOutputTokens'],
      [{ inputTokens: 1, maxOutputTokens: 1, estimatedTokens: 1 }, 'inputTokens'],
      [{ inputTokens: 1, maxOutputTokens: 1, estimatedOutputTokens: 1 }, 'inputTokens'],
      [{ inputTokens: 1, maxOutputTokens: -1 }, 'maxOutputTokens'],
    ] as const) {
      const answer = await user.post(`${SESSIONS}/initialize`, { sessionId: 's', modelId: SONNET, ...body });
      const errors = answer.body.errors as { field: string }[];
      expect([answer.status, errors.map(({ field }) => field).sort()]).toEqual([400, fields]);
    }
  });

  it('402: returns the largest estimate that would fit, exactly', async () => {
    const user = await userWithCredits(service, 17);
    const answer = await initialize(user, 's', { estimatedTokens: 1_000_000 });
    expect(refusal(answer)).toEqual([402, 'credits.insufficient']);
    expect(answer.body).toMatchObject({ requiredCredits: 3600, availableCredits: 17 });
    const most = answer.body.maxAffordableTokens as number;
    expect((await initialize(user, 'more', { estimatedTokens: most + 1 })).status).toBe(402);
    expect((await initialize(user, 'most', { estimatedTokens: most })).status).toBe(201);
  });

  it('409: other content under a used id, and an id whose session has ended', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's');
    expect(refusal(await initialize(user, 's', { estimatedTokens: 1001 }))).toEqual([
      409,
      'session.conflict',
    ]);
    expect(refusal(await initialize(user, 's', { modelId: 'free' }))).toEqual([409, 'session.conflict']);
    await abort(user, 's');
    expect(refusal(await initialize(user, 's'))).toEqual([409, 'session.already_ended']);
  });

  it("a user can neither occupy nor end another user's session id", async () => {
    const [alice, bob] = [await userWithCredits(service, 100), await userWithCredits(service, 100)];
    expect((await initialize(alice, 'shared')).status).toBe(201);
    expect(refusal(await finalize(bob, 'shared', { actualTokens: 0 }))).toEqual([404, 'session.not_found']);
    expect((await initialize(bob, 'shared')).status).toBe(201);
    await abort(bob, 'shared', 0);
    expect((await balanceOf(alice)).heldCredits).toBe(4);
  });

  it('acts for the user that a trusted service names, and the ledger names who did it', async () => {
    const user = await userWithCredits(service, 100);
    const chat = service.internal();
    expect((await initialize(chat, 's', { userId: user.userId })).body).toMatchObject({
      userId: user.userId,
    });
    expect((await finalize(chat, 's', { actualTokens: 100, userId: user.userId })).status).toBe(200);
    expect((await ledgerOf(user)).map((entry) => (entry as { actor?: string }).actor)).toEqual([
      'service:internal',
      'service:internal',
      'boss',
    ]);
    const unknown = await initialize(chat, 's', { userId: freshUser('unknown') });
    expect(refusal(unknown)).toEqual([404, 'account.not_found']);
  });
});

describe('POST /streaming-sessions/progress', () => {
  it('200: counts what was generated, never less than before, and renews the lease', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's');
    await endLeases(service, user);
    const first = await progress(user, 's', 500);
    expect(first.body).toMatchObject({
      status: 'active',
      tokensGenerated: 500,
      usedCredits: 2,
      allocatedCredits: 4,
      shouldStop: false,
    });
    expect(Date.parse(first.body.expiresAt as string)).toBeGreaterThan(Date.now() + 800_000);
    expect((await progress(user, 's', 300)).body).toMatchObject({ tokensGenerated: 500, usedCredits: 2 });
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(0);
  });

  it('grows the hold when the tokens near it, and the rest comes back at the end', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's', { estimatedTokens: 10_000 });
    expect((await balanceOf(user)).heldCredits).toBe(36);
    const grown = await progress(user, 's', 12_000);
    // 36 credits used; with 20 % on top 44 are needed, and a step is at least 20 % of the estimate.
    expect(grown.body).toMatchObject({ usedCredits: 36, allocatedCredits: 44, shouldStop: false });
    expect((await progress(user, 's', 12_000)).body).toMatchObject({ allocatedCredits: 44 });
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 956, heldCredits: 44 });
    expect((await finalize(user, 's', { actualTokens: 12_500 })).body).toMatchObject({
      actualCredits: 38,
      refund: 6,
      overage: 0,
    });
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 962, heldCredits: 0 });
  });

  it('says shouldStop when the user cannot hold more, and how far the credits reach', async () => {
    const user = await userWithCredits(service, 40);
    await initialize(user, 's', { estimatedTokens: 10_000 });
    const answer = await progress(user, 's', 12_000);
    expect(answer.body).toMatchObject({ usedCredits: 36, allocatedCredits: 40, shouldStop: true });
    // 40 credits pay for 13,333 tokens at 3 credits per 1,000; the next one would cost a 41st.
    expect(answer.body.maxAffordableTokens).toBe(13_333);
    expect((await finalize(user, 's', { actualTokens: 13_333 })).body).toMatchObject({
      actualCredits: 40,
      uncollected: 0,
      overrun: [],
    });
  });

  it('404 for a session that is not there, 409 for one that has ended', async () => {
    const user = await userWithCredits(service, 100);
    expect(refusal(await progress(user, 'none', 1))).toEqual([404, 'session.not_found']);
    await initialize(user, 's');
    await abort(user, 's');
    expect(refusal(await progress(user, 's', 1))).toEqual([409, 'session.already_ended']);
  });
});

describe('POST /streaming-sessions/finalize', () => {
  it('200: charges what was used, gives the rest back, and keeps a usage record', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's');
    const answer = await finalize(user, 's', { actualTokens: 700, providerCostUsd: '0.002100000000000001' });
    expect(answer.body).toEqual({
      id: expect.any(Number),
      sessionId: 's',
      accountId: user.userId,
      userId: user.userId,
      completedAt: expect.any(String),
      status: 'completed',
      estimatedCredits: 3,
      actualCredits: 3,
      refund: 1,
      overage: 0,
      uncollected: 0,
      overrun: [],
      late: false,
    });
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 997, heldCredits: 0 });
    const [record] = await recordsOf(user);
    expect(record).toMatchObject({
      service: 'chat-streaming',
      operation: SONNET,
      credits: 3,
      billingStatus: 'billed',
      providerCostUsd: '0.002100000000000001',
      metadata: { sessionId: 's', tokens: 700, estimatedCredits: 3 },
    });
    expect(record?.metadata.duration).toEqual(expect.any(Number));
    expect((await ledgerOf(user))[0]).toMatchObject({ kind: 'refund', credits: 1, usageId: record?.id });
  });

  it('200: charges by class, rounded once at the end', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's', { modelId: 'by-class' });
    // 0.002 + 0.01 + 0.0005 credits: each class rounded up alone would be 3.
    const counts = { inputTokens: 1, outputTokens: 1, cachedInputTokens: 1 };
    expect((await finalize(user, 's', counts)).body).toMatchObject({ actualCredits: 1 });
    expect((await recordsOf(user))[0]?.metadata).toMatchObject({ tokens: 3, ...counts });
  });

  it('200: keeps where the counts come from', async () => {
    const user = await userWithCredits(service, 1000);
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
    const ends = [
      { inputTokens: 10, outputTokens: 5 },
      { provider: 'openai', usage },
      { provider: 'openai', usage, usageSource: 'drained' },
      { inputTokens: 10, outputTokens: 5, usageSource: 'estimated' },
    ];
    for (const [index, end] of ends.entries()) {
      await initialize(user, `s${index}`);
      expect((await finalize(user, `s${index}`, end)).status).toBe(200);
    }
    await initialize(user, 'aborted');
    await abort(user, 'aborted', 5);
    const bad = await finalize(user, 's0', { inputTokens: 1, outputTokens: 1, usageSource: 'guessed' });
    expect([bad.status, bad.body.errors]).toMatchObject([400, [{ field: 'usageSource' }]]);
    const records = await recordsOf(user);
    expect(records.map(({ usageSource }) => usageSource)).toEqual([
      ...['estimated', 'estimated', 'drained', 'provider', null],
    ]);
  });

  it('200: success=false ends it as failed and charges all the same', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's');
    expect((await finalize(user, 's', { actualTokens: 700, success: false })).body).toMatchObject({
      status: 'failed',
      actualCredits: 3,
    });
    expect(await recordsOf(user)).toMatchObject([{ service: 'chat-streaming-failed', credits: 3 }]);
  });

  it("200: what is beyond the hold comes from the user's other lots", async () => {
    const user = await userWithCredits(service, 4, 100);
    await initialize(user, 's');
    const answer = await finalize(user, 's', { actualTokens: 3000 });
    expect(answer.body).toMatchObject({ actualCredits: 9, refund: 0, overage: 5, uncollected: 0 });
    expect((await ledgerOf(user))[0]).toMatchObject({ kind: 'charge', credits: -5 });
    expect((await balanceOf(user)).totalCredits).toBe(95);
  });

  it('200: a finished call is never dropped: what the account cannot pay is kept for review', async () => {
    const user = await userWithCredits(service, 6);
    await initialize(user, 's');
    const answer = await finalize(user, 's', { actualTokens: 3000 });
    expect(answer.body).toMatchObject({ actualCredits: 9, overage: 5, uncollected: 3 });
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 0, heldCredits: 0 });
    expect(await recordsOf(user)).toMatchObject([
      { credits: 9, uncollectedCredits: 3, billingStatus: 'needs_review' },
    ]);
    expect((await root.get('/api/usage/system-stats')).body.needsReview).toBe(1);
  });

  it('200: the same numbers again give the same answer; 409: other numbers', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's');
    const first = await finalize(user, 's', { actualTokens: 700 });
    expect((await finalize(user, 's', { actualTokens: 700 })).text).toBe(first.text);
    for (const other of [
      { actualTokens: 701 },
      { actualTokens: 700, success: false },
      { inputTokens: 700, outputTokens: 0 },
    ]) {
      expect(refusal(await finalize(user, 's', other))).toEqual([409, 'session.already_ended']);
    }
    const late = await abort(user, 's', 700);
    expect(refusal(late)).toEqual([409, 'session.already_ended']);
    expect(late.body).toMatchObject({
      errors: [{ field: 'sessionId', message: expect.stringContaining('first values stay') as string }],
    });
    expect((await balanceOf(user)).totalCredits).toBe(997);
  });

  it('404: Active streaming session not found', async () => {
    const answer = await finalize(await userWithCredits(service), 'none', { actualTokens: 1 });
    expect(refusal(answer)).toEqual([404, 'session.not_found']);
    expect(answer.body.message).toBe('Active streaming session not found');
  });
});

describe('POST /streaming-sessions/abort', () => {
  it('200: charges what was generated until then', async () => {
    const user = await userWithCredits(service, 1000);
    await initialize(user, 's');
    const answer = await abort(user, 's', 120);
    expect(answer.body).toEqual({
      id: expect.any(Number),
      sessionId: 's',
      accountId: user.userId,
      userId: user.userId,
      completedAt: expect.any(String),
      status: 'aborted',
      partialCredits: 1,
      refund: 3,
      overage: 0,
      uncollected: 0,
      overrun: [],
      late: false,
    });
    expect((await abort(user, 's', 120)).text).toBe(answer.text);
    expect(await recordsOf(user)).toMatchObject([
      { service: 'chat-streaming-aborted', credits: 1, metadata: { sessionId: 's', partialTokens: 120 } },
    ]);
  });

  it('200: charges the last progress when it names no tokens, and nothing when there was none', async () => {
    const user = await userWithCredits(service, 1000);
    await Promise.all([initialize(user, 'some'), initialize(user, 'none')]);
    await progress(user, 'some', 600);
    expect((await abort(user, 'some')).body).toMatchObject({ partialCredits: 2, refund: 2 });
    expect((await abort(user, 'none')).body).toMatchObject({ partialCredits: 0, refund: 4 });
    expect((await balanceOf(user)).totalCredits).toBe(998);
  });

  it('an estimate by classes owes its input as soon as anything was generated', async () => {
    const user = await userWithCredits(service, 1000);
    const body = { modelId: 'by-class', estimatedInputTokens: 1000, estimatedOutputTokens: 1000 };
    await times(2, (index) => user.post(`${SESSIONS}/initialize`, { sessionId: `s${index}`, ...body }));
    expect((await abort(user, 's0', 0)).body).toMatchObject({ partialCredits: 0 });
    expect((await abort(user, 's1', 1)).body).toMatchObject({ partialCredits: 3 });
  });
});

describe('refunds', () => {
  it('go back to the lots they came from, last taken first', async () => {
    const user = await userWithCredits(service, 2, 2, 100);
    const before = (await balanceOf(user)).activeAllocations;
    await initialize(user, 's', { estimatedTokens: 2000 });
    await finalize(user, 's', { actualTokens: 900 });
    const refunds = (await ledgerOf(user)).filter(({ kind }) => kind === 'refund').reverse();
    // 8 held as 2 + 2 + 4, 3 used: 4 back to the third lot, 1 to the second.
    expect(refunds.map(({ allocationId, credits }) => [allocationId, credits])).toEqual([
      [before[2]?.id, 4],
      [before[1]?.id, 1],
    ]);
  });

  it('never extend an expiry: opening and aborting sessions all day gains no lifetime', async () => {
    const user = await userWithCredits(service, 3, 5, 50);
    const before = await balanceOf(user);
    for (let round = 0; round < 10; round++) {
      await times(5, (index) => initialize(user, `r${round}-${index}`));
      await times(5, (index) => abort(user, `r${round}-${4 - index}`, 0));
    }
    expect(await balanceOf(user)).toEqual(before);
  });

  it('to a lot that has expired meanwhile expire with it, and the ledger says so', async () => {
    const user = await userWithCredits(service, 3, 50);
    await initialize(user, 's');
    await expireLots(service, user, [3]);
    await abort(user, 's', 0);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 50, heldCredits: 0 });
    expect((await ledgerOf(user)).slice(0, 3).map(({ kind, credits }) => [kind, credits])).toEqual([
      ['expiry', -3],
      ['refund', 3],
      ['refund', 1],
    ]);
  });
});

describe('leases', () => {
  it('a stale session ends by its last progress, and the rest comes back', async () => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 's');
    await progress(user, 's', 400);
    await endLeases(service, user);
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(1);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 98, heldCredits: 0 });
    expect(await recordsOf(user)).toMatchObject([
      { service: 'chat-streaming-timeout', credits: 2, metadata: { sessionId: 's', partialTokens: 400 } },
    ]);
    expect(refusal(await progress(user, 's', 500))).toEqual([409, 'session.already_ended']);
  });

  it('stale sessions of an account that stays locked keep no other account’s waiting', async () => {
    const locked = await userWithCredits(service, 100);
    const other = await userWithCredits(service, 100);
    const sessions = ['1', '2', '3', '4', '5', '6', '7', '8'];
    for (const id of sessions) await initialize(locked, id);
    await endLeases(service, locked);
    await initialize(other, 's');
    await endLeases(service, other);
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('SELECT FROM credit_balances WHERE account_id = $1 FOR UPDATE', [locked.userId]);
    const begun = performance.now();
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(1);
    // It has waited for the account once, for half a second.
    expect(performance.now() - begun).toBeLessThan(3000);
    await gate.query('ROLLBACK');
    gate.release();
    expect(await balanceOf(other)).toMatchObject({ totalCredits: 100, heldCredits: 0 });
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(sessions.length);
  });

  it('a session that timed out is aborted late once, like a late finalize', async () => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 's');
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 100 });
    expect((await abort(user, 's', 100)).body).toMatchObject({
      status: 'aborted',
      partialCredits: 1,
      refund: 3,
      late: true,
    });
    expect((await abort(user, 's', 100)).status).toBe(200);
    expect(refusal(await abort(user, 's', 200))).toEqual([409, 'session.already_ended']);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 99, heldCredits: 0 });
    expect(await recordsOf(user)).toMatchObject([
      { service: 'chat-streaming-aborted', credits: 1, version: 2 },
    ]);
  });

  it.each([
    ['more than the time-out charged', 3000, 9, 91],
    ['less than the time-out charged', 100, 1, 99],
    ['exactly what the time-out charged', 400, 2, 98],
  ])('a late finalize is accepted once and settles the difference: %s', async (_, tokens, cost, left) => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 's');
    await progress(user, 's', 400);
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    const answer = await finalize(user, 's', { actualTokens: tokens });
    expect(answer.body).toMatchObject({ status: 'completed', actualCredits: cost, late: true });
    expect((await finalize(user, 's', { actualTokens: tokens })).text).toBe(answer.text);
    expect(refusal(await finalize(user, 's', { actualTokens: tokens + 1000 }))[0]).toBe(409);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: left, heldCredits: 0 });
    // The record of the time-out has become the record of the call: nothing is counted twice.
    expect(await recordsOf(user)).toMatchObject([{ service: 'chat-streaming', credits: cost }]);
    const stats = (await user.get('/api/usage/stats')).body;
    expect(stats).toMatchObject({
      totalRecords: 1,
      totalCredits: cost,
      byService: { 'chat-streaming': cost },
    });
  });

  it('a finalize after the lease, before any sweeper, is late and charged as it is', async () => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 's');
    await endLeases(service, user);
    expect((await finalize(user, 's', { actualTokens: 700 })).body).toMatchObject({
      actualCredits: 3,
      refund: 1,
      late: true,
    });
  });

  it('sweeps more sessions than one batch holds, and a busy user without standing still', async () => {
    const users = await times(3, () => userWithCredits(service, 1000));
    await Promise.all(users.map((user) => times(45, (index) => initialize(user, `s${index}`))));
    await Promise.all(users.map((user) => endLeases(service, user)));
    const holder = await service.owner.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM credit_balances WHERE account_id = $1 FOR UPDATE', [users[0]?.userId]);
    const sweep = service.get(StreamingSessionsSweeper).sweep();
    try {
      await expect
        .poll(async () => (await balanceOf(users[2] as HttpClient)).heldCredits, { timeout: 5000 })
        .toBe(0);
    } finally {
      await holder.query('ROLLBACK');
      holder.release();
    }
    expect(await sweep).toBe(135);
    for (const user of users) expect((await balanceOf(user)).heldCredits).toBe(0);
  });
});

describe('odd circumstances', () => {
  it('a sweep ends after the session that it is at when the service stops', async () => {
    const user = await userWithCredits(service, 100);
    for (const session of ['s1', 's2', 's3']) await initialize(user, session);
    await endLeases(service, user);
    const stopping = new AbortController();
    const holder = await service.owner.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM credit_balances WHERE account_id = $1 FOR UPDATE', [user.userId]);
    const sweep = service.get(StreamingSessionsSweeper).sweep(stopping.signal);
    await expect.poll(() => waitingForLocks(service)).toBe(1);
    stopping.abort();
    await holder.query('ROLLBACK');
    holder.release();
    expect(await sweep).toBe(1);
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(2);
  });

  it('one session that cannot be ended does not keep the others from it', async () => {
    const [broken, sound] = [await userWithCredits(service, 100), await userWithCredits(service, 100)];
    for (const user of [broken, sound]) await initialize(user, 's');
    for (const user of [broken, sound]) await endLeases(service, user);
    const setHeld = (credits: number) =>
      service.owner.query('UPDATE credit_balances SET held = $2 WHERE account_id = $1', [
        broken.userId,
        credits,
      ]);
    await setHeld(0);
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(1);
    expect(service.logs.some(({ msg }) => String(msg).includes(broken.userId))).toBe(true);
    await setHeld(4);
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(1);
  });

  it('a hold over as many lots as there may be is settled as fast as it was taken', async () => {
    const user = await userWithCredits(service, 1);
    // Each by itself: so each is carried out where the account lies, also on a cluster.
    await times(999, () => service.owner.query(`SELECT ${allocateCredits('$1', '1')}`, [user.userId]));
    const seconds = async (call: () => Promise<Answer>) => {
      const begun = performance.now();
      expect((await call()).status).toBeLessThan(300);
      return (performance.now() - begun) / 1000;
    };
    const hold = await seconds(() => initialize(user, 's', { estimatedTokens: 270_000 }));
    const settle = await seconds(() => abort(user, 's', 0));
    // The same number of statements each; quadratic work would make it many times as long.
    expect(settle).toBeLessThan(hold * 5 + 1);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 1000, heldCredits: 0 });
  });

  it("does not depend on the database's own settings for dates and isolation", async () => {
    const name = new URL(service.databaseUrl).pathname.slice(1);
    await service.owner.query(`ALTER DATABASE ${name} SET datestyle = 'German, DMY'`);
    await service.owner.query(`ALTER DATABASE ${name} SET default_transaction_isolation = 'repeatable read'`);
    const other = await service.another();
    const user = other.as((await userWithCredits(service, 1000)).userId);
    const answers = await times(100, (index) => initialize(user, `s${index}`));
    expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(201));
    expect((await user.get<unknown[]>(`${SESSIONS}/active`)).body).toHaveLength(100);
    await other.close();
    await service.owner.query(`ALTER DATABASE ${name} RESET ALL`);
    await times(100, (index) => abort(service.as(user.userId), `s${index}`));
  });
});

describe('the maximum age', () => {
  /** So long ago has everything begun that the user's sessions did; by the database's clock. */
  const age = (user: HttpClient, seconds: number) =>
    service.owner.query(
      // In UTC: without a time zone this is a calculation that also a cluster takes in an UPDATE.
      `UPDATE streaming_sessions
          SET started_at = (started_at AT TIME ZONE 'UTC' - $2 * interval '1 second') AT TIME ZONE 'UTC',
              expires_at = (expires_at AT TIME ZONE 'UTC' - $2 * interval '1 second') AT TIME ZONE 'UTC'
        WHERE account_id = $1 AND status = 'active'`,
      [user.userId, seconds],
    );
  const timesOf = async (user: HttpClient) => {
    const [session] = (await user.get<{ startedAt: string; expiresAt: string }[]>(`${SESSIONS}/active`)).body;
    return {
      startedAt: Date.parse(session?.startedAt ?? ''),
      expiresAt: Date.parse(session?.expiresAt ?? ''),
    };
  };

  it('progress renews a lease up to it and not beyond, and says so; at it the session has ended', async () => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 's');
    await age(user, 85_400);
    const early = await progress(user, 's', 100);
    expect(early.status).toBe(200);
    await age(user, 100);
    const late = await progress(user, 's', 400);
    expect(late.status).toBe(200);
    const { startedAt, expiresAt } = await timesOf(user);
    expect(expiresAt - startedAt).toBe(86_400_000);
    expect(Date.parse(late.body.expiresAt as string)).toBe(expiresAt);
    await age(user, 900);
    expect(refusal(await progress(user, 's', 900))).toEqual([409, 'session.already_ended']);
    expect(await timesOf(user)).toEqual({ startedAt: startedAt - 900_000, expiresAt: expiresAt - 900_000 });
    expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(1);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 98, heldCredits: 0 });
    expect(await recordsOf(user)).toMatchObject([{ service: 'chat-streaming-timeout', credits: 2 }]);
    expect((await finalize(user, 's', { actualTokens: 900 })).body).toMatchObject({
      actualCredits: 3,
      late: true,
    });
  });

  it('is as it is set, by the clock of the database; no lease of a new session is longer', async () => {
    const short = await service.another({ SESSION_MAX_AGE_SECONDS: '60', SESSION_LEASE_SECONDS: '60' });
    try {
      const user = short.as((await userWithCredits(service, 100)).userId);
      const { startedAt, expiresAt } = (await initialize(user, 's')).body as Record<string, string>;
      expect(Date.parse(expiresAt as string) - Date.parse(startedAt as string)).toBe(60_000);
      await age(user, 20);
      expect((await progress(user, 's', 400)).status).toBe(200);
      expect((await timesOf(user)).expiresAt - (await timesOf(user)).startedAt).toBe(60_000);
      // Set lower than it was, it ends also a session whose lease is alive.
      await initialize(service.as(user.userId), 'longer');
      await service.owner.query(
        `UPDATE streaming_sessions SET started_at = now() - interval '61 seconds' WHERE session_id = 'longer'`,
      );
      expect(refusal(await progress(user, 'longer', 1))).toEqual([409, 'session.already_ended']);
      expect((await progress(service.as(user.userId), 'longer', 1)).status).toBe(200);
      for (const sessionId of ['s', 'longer']) await abort(user, sessionId);
    } finally {
      await short.close();
    }
  });
});

describe('GET /streaming-sessions/active', () => {
  it('shows own sessions; a supervisor sees a user’s, an admin everyone’s', async () => {
    const user = await userWithCredits(service, 100);
    await initialize(user, 'first');
    await initialize(user, 'second');
    await abort(user, 'first');
    const own = await user.get<{ sessionId: string }[]>(`${SESSIONS}/active`);
    expect(own.body).toMatchObject([{ sessionId: 'second', allocatedCredits: 4, status: 'active' }]);
    const boss = service.as('boss', { role: 'supervisor' });
    expect((await boss.get(`${SESSIONS}/active/${user.userId}`)).body).toEqual(own.body);
    const all = await root.get<{ userId: string }[]>(`${SESSIONS}/active/all`);
    expect(all.body.map(({ userId }) => userId)).toContain(user.userId);
    expect((await boss.get(`${SESSIONS}/active/all`)).status).toBe(403);
    for (const path of ['active/ghost', 'active?userId=ghost']) {
      const caller = path.includes('?') ? service.internal() : boss;
      expect(refusal(await caller.get(`${SESSIONS}/${path}`))).toEqual([404, 'account.not_found']);
    }
  });
});
