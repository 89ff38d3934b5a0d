// @module-tag one-by-one
// @module-tag pooler
// @module-tag cluster
// @module-tag two-instances
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import {
  balanceOf,
  countByStatus,
  endLeases,
  expectSoundBooks,
  initialize,
  ledgerOf,
  SONNET,
  times,
  userWithCredits,
} from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';

const CHARGE = '/api/usage/charge';

interface RecordBody extends Record<string, unknown> {
  id: number;
  version: number;
  credits: number;
  billingStatus: string;
  uncollectedCredits: number;
  providerCostUsd: string | null;
  providerCostSource: string | null;
  reviewAction: string | null;
  reviewedBy: string | null;
  service: string;
}
interface ChargeBody extends Record<string, unknown> {
  record: RecordBody;
  totalCredits: number;
}

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  await root.post('/api/pricing', {
    modelId: 'costed',
    pricePerThousandTokens: '4',
    pricePerThousandInputTokens: '2',
    pricePerThousandOutputTokens: '10',
    providerCostPerThousandInputTokens: '0.001',
    providerCostPerThousandOutputTokens: '0.005000000000000001',
  });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await expectUsageIsWhatWasTaken();
  await service.close();
});

const charge = (user: HttpClient, requestId: string, more: Record<string, unknown> = {}) =>
  user.post<ChargeBody>(CHARGE, { requestId, modelId: SONNET, tokens: 1000, ...more });
const review = (id: number, body: object, key?: string) =>
  root.post<RecordBody>(
    `/api/usage/records/${id}/review`,
    { version: 1, ...body },
    key === undefined ? {} : { 'idempotency-key': key },
  );
const refusal = (answer: Answer<unknown>) => [answer.status, (answer.body as { code: string }).code];

/** For every record that takes credits: what the ledger took for it is what it says was collected. */
async function expectUsageIsWhatWasTaken(): Promise<void> {
  const { rows } = await service.owner.query(
    `SELECT r.id, r.credits - r.uncollected_credits AS collected, -coalesce(sum(e.credits), 0) AS taken
       FROM usage_records r
       LEFT JOIN credit_ledger e ON e.account_id = r.account_id
        AND (e.session_id = r.session_id OR (r.session_id IS NULL AND e.usage_id = r.id))
      WHERE r.billing_status <> 'recorded'
      GROUP BY r.account_id, r.id
     HAVING r.credits - r.uncollected_credits <> -coalesce(sum(e.credits), 0)`,
  );
  expect(rows).toEqual([]);
}

/** Of one record: the income, and what was not collected. */
const COLLECTED = `CASE billing_status WHEN 'recorded' THEN 0 ELSE credits - uncollected_credits END`;
const UNCOLLECTED = `CASE billing_status WHEN 'recorded' THEN 0 ELSE uncollected_credits END`;

async function expectRollUpIsSound(): Promise<void> {
  const { rows } = await service.owner.query(
    `SELECT * FROM (
       SELECT account_id, (timestamp AT TIME ZONE 'UTC')::date AS day, service, operation, count(*) AS records,
              sum(credits) AS credits, coalesce(sum(provider_cost_usd), 0) AS cost, count(provider_cost_usd) AS costed,
              coalesce(sum(${COLLECTED}) FILTER (WHERE provider_cost_usd IS NOT NULL), 0) AS costed_credits,
              sum(${COLLECTED}) AS collected, sum(${UNCOLLECTED}) AS uncollected
         FROM usage_records GROUP BY 1, 2, 3, 4) r
       FULL JOIN (SELECT * FROM usage_daily WHERE records > 0) d USING (account_id, day, service, operation)
      WHERE (r.records, r.credits, r.cost, r.costed, r.costed_credits, r.collected, r.uncollected) IS DISTINCT FROM
            (d.records, d.credits, d.provider_cost_usd, d.costed_records, d.costed_credits, d.charged_credits,
             d.uncollected_credits)`,
  );
  expect(rows).toEqual([]);
}

describe('POST /usage/charge', () => {
  it('201: prices, debits and records one call', async () => {
    const user = await userWithCredits(service, 2, 100);
    const answer = await charge(user, 'c', { metadata: { chat: 7 }, service: 'agents' });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      totalCredits: 99,
      record: {
        userId: user.userId,
        service: 'agents',
        operation: SONNET,
        credits: 3,
        billingStatus: 'billed',
        uncollectedCredits: 0,
        metadata: { chat: 7 },
        requestId: 'c',
        pricingSource: 'default',
        providerCostUsd: null,
        providerCostSource: null,
      },
    });
    expect((await ledgerOf(user)).slice(0, 2)).toMatchObject([
      { kind: 'charge', credits: -1, balanceAfter: 99, usageId: answer.body.record.id },
      { kind: 'charge', credits: -2, balanceAfter: 100, usageId: answer.body.record.id },
    ]);
  });

  it('200: the same request id again answers the same and moves nothing, also 40 times at once', async () => {
    const user = await userWithCredits(service, 100);
    const answers = await times(40, () => charge(user, 'once'));
    expect(countByStatus(answers)).toEqual({ 200: 39, 201: 1 });
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.has('idempotency-replayed'))).toHaveLength(39);
    expect((await balanceOf(user)).totalCredits).toBe(97);
    expect((await user.get('/api/usage/stats')).body).toMatchObject({ totalRecords: 1, totalCredits: 3 });
  });

  it('422: refuses a used request id, or Idempotency-Key, with another content', async () => {
    const user = await userWithCredits(service, 100);
    await charge(user, 'c');
    for (const other of [{ tokens: 1001 }, { modelId: 'costed' }, { metadata: { a: 1 } }, { service: 'x' }]) {
      const answer = await charge(user, 'c', other);
      expect(refusal(answer)).toEqual([422, 'idempotency.mismatch']);
    }
    const headers = { 'idempotency-key': 'key' };
    const body = { requestId: 'd', modelId: SONNET, tokens: 1000 };
    const first = await user.post(CHARGE, body, headers);
    expect((await user.post(CHARGE, body, headers)).text).toBe(first.text);
    expect(refusal(await user.post(CHARGE, { ...body, requestId: 'e' }, headers))).toEqual([
      422,
      'idempotency.mismatch',
    ]);
    expect((await balanceOf(user)).totalCredits).toBe(94);
  });

  it("does not mix up two users' request ids", async () => {
    const [alice, bob] = [await userWithCredits(service, 10), await userWithCredits(service, 10)];
    expect([(await charge(alice, 'same')).status, (await charge(bob, 'same')).status]).toEqual([201, 201]);
  });

  it('402: too few credits write nothing at all, and the request can succeed later', async () => {
    const user = await userWithCredits(service, 2);
    const before = await snapshot(service.owner);
    const answer = await charge(user, 'c');
    expect(refusal(answer)).toEqual([402, 'credits.insufficient']);
    expect(answer.body).toMatchObject({ requiredCredits: 3, availableCredits: 2 });
    expect(await snapshot(service.owner)).toEqual(before);
    await service
      .as('boss', { role: 'supervisor' })
      .post('/api/credits/allocate', { userId: user.userId, credits: 1 });
    expect((await charge(user, 'c')).status).toBe(201);
    expect((await balanceOf(user)).totalCredits).toBe(0);
  });

  it('201: onInsufficient=review keeps the call for review and takes nothing', async () => {
    const user = await userWithCredits(service, 2);
    const answer = await charge(user, 'c', { onInsufficient: 'review' });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      totalCredits: 2,
      record: { credits: 3, billingStatus: 'needs_review', uncollectedCredits: 3 },
    });
    expect((await charge(user, 'c', { onInsufficient: 'review' })).text).toBe(answer.text);
  });

  it('201: needs_review records without debiting, however much is there', async () => {
    const user = await userWithCredits(service, 100);
    const answer = await charge(user, 'c', { billingStatus: 'needs_review' });
    expect(answer.body).toMatchObject({ totalCredits: 100, record: { billingStatus: 'needs_review' } });
    expect((await ledgerOf(user)).map(({ kind }) => kind)).toEqual(['allocation']);
  });

  it('sells 100 credits to 60 parallel charges of 3 exactly 33 times', async () => {
    const user = await userWithCredits(service, 60, 40);
    const answers = await times(60, (index) => charge(user, `c${index}`));
    expect(countByStatus(answers)).toEqual({ 201: 33, 402: 27 });
    expect((await balanceOf(user)).totalCredits).toBe(1);
  });

  it('422: a model without a price, where that is refused', async () => {
    const strict = await service.another({ UNPRICED_MODEL_POLICY: 'reject' });
    const user = strict.as((await userWithCredits(service, 100)).userId);
    expect(refusal(await charge(user, 'c', { modelId: 'unknown/model' }))).toEqual([
      422,
      'pricing.unpriced_model',
    ]);
    await strict.close();
  });
});

describe('POST /usage/charge with credits', () => {
  it('201: a trusted service names the price, which is debited and recorded as it is', async () => {
    const user = await userWithCredits(service, 10);
    const call = { userId: user.userId, requestId: 'priced', modelId: 'priced-elsewhere', credits: 7 };
    const answer = await service.internal().post<ChargeBody>(CHARGE, { ...call, providerCostUsd: 0.0021 });
    expect(answer.status, answer.text).toBe(201);
    expect(answer.body).toMatchObject({
      totalCredits: 3,
      record: { credits: 7, billingStatus: 'billed', pricingSource: null, pricingRuleId: null },
    });
    expect(answer.body.record.providerCostUsd).toBe('0.0021');
    const again = await service.internal().post<ChargeBody>(CHARGE, { ...call, providerCostUsd: '0.0021' });
    expect([again.status, again.body.record.id]).toEqual([200, answer.body.record.id]);
    const other = await service.internal().post(CHARGE, { ...call, credits: 6 });
    expect(refusal(other)).toEqual([422, 'idempotency.mismatch']);
    const short = await service.internal().post(CHARGE, { ...call, requestId: 'more', credits: 4 });
    expect(refusal(short)).toEqual([402, 'credits.insufficient']);
  });

  it('400 naming the field, of a user, and beside tokens or classes', async () => {
    const user = await userWithCredits(service, 10);
    const call = { requestId: 'own-price', modelId: SONNET, credits: 1 };
    const forged = await user.post(CHARGE, call);
    expectProblem(forged, 400, { code: 'validation.failed', field: 'credits' });
    for (const counts of [{ tokens: 1 }, { inputTokens: 1, outputTokens: 1 }, { cachedInputTokens: 0 }]) {
      const both = await service.internal().post(CHARGE, { ...call, ...counts, userId: user.userId });
      expectProblem(both, 400, { code: 'validation.failed', field: 'credits' });
    }
    expect((await balanceOf(user)).totalCredits).toBe(10);
  });
});

describe('provider cost', () => {
  const byClass = { modelId: 'costed', tokens: undefined, inputTokens: 1000, outputTokens: 2000 };

  it('is computed from the rule when it is not reported, exactly, and marked so', async () => {
    const user = await userWithCredits(service, 100);
    const { record } = (await charge(user, 'c', byClass)).body;
    expect(record).toMatchObject({
      credits: 22,
      providerCostUsd: '0.011000000000000002',
      providerCostSource: 'computed',
    });
  });

  it('is what is reported when it is reported, also 0', async () => {
    const user = await userWithCredits(service, 100);
    const { record } = (await charge(user, 'c', { ...byClass, providerCostUsd: '0.02' })).body;
    expect(record).toMatchObject({ providerCostUsd: '0.02', providerCostSource: 'reported' });
    const free = (await charge(user, 'd', { ...byClass, providerCostUsd: '0' })).body.record;
    expect(free).toMatchObject({ providerCostUsd: '0', providerCostSource: 'reported' });
  });

  it('is unknown, and not 0, when a class with tokens has no cost, or the model has none', async () => {
    const user = await userWithCredits(service, 100);
    for (const [id, body] of [
      ['whole', { modelId: 'costed', tokens: 500 }],
      ['default', { providerCostUsd: null }],
    ] as const) {
      const { record } = (await charge(user, id, body)).body;
      expect(record).toMatchObject({ providerCostUsd: null, providerCostSource: null });
    }
  });

  it('of a session is pinned with its price, and computed for a time-out and an abort too', async () => {
    const user = await userWithCredits(service, 1000);
    const start = (sessionId: string) =>
      user.post('/api/streaming-sessions/initialize', {
        sessionId,
        modelId: 'costed',
        estimatedInputTokens: 1000,
        estimatedOutputTokens: 1000,
      });
    await Promise.all(['final', 'abort', 'nothing', 'stale'].map(start));
    const end = (how: string, body: object) => user.post(`/api/streaming-sessions/${how}`, body);
    await end('finalize', { sessionId: 'final', inputTokens: 500, outputTokens: 100 });
    await end('abort', { sessionId: 'abort', tokensGenerated: 100 });
    await end('abort', { sessionId: 'nothing', tokensGenerated: 0 });
    await end('progress', { sessionId: 'stale', tokensGenerated: 200 });
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    const page = await user.get<{ items: (RecordBody & { sessionId: string })[] }>('/api/usage/records');
    const costs = Object.fromEntries(page.body.items.map((item) => [item.sessionId, item.providerCostUsd]));
    expect(costs).toEqual({
      final: '0.0010000000000000001',
      abort: '0.0015000000000000001',
      // Whether the provider counted the input is unknown.
      nothing: '0',
      stale: '0.0020000000000000002',
    });
  });
});

describe('POST /usage/records/:id/review', () => {
  async function shortCall(): Promise<{ user: HttpClient; record: RecordBody }> {
    const user = await userWithCredits(service, 2);
    const { record } = (await charge(user, 'c', { onInsufficient: 'review' })).body;
    return { user, record };
  }
  const topUp = (user: HttpClient, credits: number) =>
    root.post('/api/credits/allocate', { userId: user.userId, credits });

  it('200: bills what is missing, once, with ledger and statistics', async () => {
    const { user, record } = await shortCall();
    expect(refusal(await review(record.id, { action: 'bill' }))).toEqual([402, 'credits.insufficient']);
    await topUp(user, 10);
    const billed = await review(record.id, { action: 'bill' });
    expect(billed.body).toMatchObject({
      id: record.id,
      credits: 3,
      uncollectedCredits: 0,
      billingStatus: 'billed',
      reviewAction: 'bill',
      reviewedBy: 'root',
    });
    expect(refusal(await review(record.id, { action: 'bill' }))).toEqual([409, 'usage.already_reviewed']);
    expect((await balanceOf(user)).totalCredits).toBe(9);
    expect((await ledgerOf(user))[0]).toMatchObject({ kind: 'charge', usageId: record.id });
    expect((await user.get('/api/usage/stats')).body).toMatchObject({ totalRecords: 1, totalCredits: 3 });
  });

  it('200: bills another amount when the reviewer says so', async () => {
    const { user, record } = await shortCall();
    await topUp(user, 10);
    expect((await review(record.id, { action: 'bill', credits: 5 })).body).toMatchObject({ credits: 5 });
    expect((await balanceOf(user)).totalCredits).toBe(7);
    expect((await user.get('/api/usage/stats')).body).toMatchObject({ totalCredits: 5 });
    expect(refusal(await review(record.id, { action: 'bill' }))).toEqual([409, 'usage.already_reviewed']);
    expect(refusal(await review(record.id, { action: 'bill', credits: 6 }))[0]).toBe(409);
    await expectRollUpIsSound();
  });

  it('200: waives it, takes nothing, and another decision afterwards is 409', async () => {
    const { user, record } = await shortCall();
    const waived = await review(record.id, { action: 'waive' });
    expect(waived.body).toMatchObject({ billingStatus: 'waived', credits: 3, uncollectedCredits: 3 });
    expect(refusal(await review(record.id, { action: 'bill' }))).toEqual([409, 'usage.already_reviewed']);
    expect((await balanceOf(user)).totalCredits).toBe(2);
  });

  it('404 for a record that is not there, 409 for one that does not wait', async () => {
    expect(refusal(await review(999_999_999, { action: 'bill' }))).toEqual([404, 'usage.not_found']);
    const user = await userWithCredits(service, 100);
    const { record } = (await charge(user, 'c')).body;
    expect(refusal(await review(record.id, { action: 'waive' }))).toEqual([409, 'usage.not_in_review']);
  });

  it('settles once when 20 bill and 20 waive at the same moment', async () => {
    for (let round = 0; round < 5; round++) {
      const { user, record } = await shortCall();
      await topUp(user, 10);
      const answers = await times(40, (index) => review(record.id, { action: index % 2 ? 'bill' : 'waive' }));
      expect(countByStatus(answers)).toEqual({ 200: 1, 409: 39 });
      const billed = answers.find(({ status }) => status === 200)?.body.billingStatus === 'billed';
      expect((await balanceOf(user)).totalCredits).toBe(billed ? 9 : 12);
    }
    await expectUsageIsWhatWasTaken();
    await expectRollUpIsSound();
  });

  it('200: the same request with the same Idempotency-Key gets the first answer; another one is 422', async () => {
    const { user, record } = await shortCall();
    await topUp(user, 10);
    const key = `decision-${record.id}`;
    const answers = await times(20, () => review(record.id, { action: 'bill' }, key));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')).toHaveLength(19);
    expect(answers[0]?.body).toMatchObject({ billingStatus: 'billed', version: 2 });
    expect(refusal(await review(record.id, { action: 'bill', credits: 1 }, key))).toEqual([
      422,
      'idempotency.mismatch',
    ]);
    expect((await balanceOf(user)).totalCredits).toBe(9);
  });

  it('400 without the version that is decided on, 409 for another one, with nothing done', async () => {
    const { record } = await shortCall();
    const before = await snapshot(service.owner);
    const url = `/api/usage/records/${record.id}/review`;
    for (const version of [undefined, null, 0, -1, 1.5, '1', 2 ** 31]) {
      const answer = await root.post(url, { action: 'waive', version });
      expect([answer.status, answer.body.errors]).toMatchObject([400, [{ field: 'version' }]]);
    }
    expect(refusal(await review(record.id, { action: 'waive', version: 2 }))).toEqual([409, 'usage.changed']);
    expect(await snapshot(service.owner)).toEqual(before);
  });

  describe('of a time-out, before a late finalize', () => {
    /** 30 credits of a stream were used, 10 of them were there: a time-out leaves 20 open. */
    async function timedOut(): Promise<{ user: HttpClient; record: RecordBody }> {
      const user = await userWithCredits(service, 10);
      await initialize(user, 's');
      await user.post('/api/streaming-sessions/progress', { sessionId: 's', tokensGenerated: 10_000 });
      await endLeases(service, user);
      await service.get(StreamingSessionsSweeper).sweep();
      const record = await recordOf(user);
      expect(record).toMatchObject({ version: 1, credits: 30, uncollectedCredits: 20 });
      await topUp(user, 100);
      return { user, record };
    }
    async function recordOf(user: HttpClient): Promise<RecordBody> {
      const { body } = await user.get<{ items: RecordBody[] }>('/api/usage/records');
      return body.items[0] as RecordBody;
    }
    const finalize = (user: HttpClient, actualTokens: number) =>
      user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens });

    it.each<[what: string, decision: object, tokens: number, left: number, after: Partial<RecordBody>]>([
      ['billed, the same cost', { action: 'bill' }, 10_000, 80, { billingStatus: 'billed', credits: 30 }],
      [
        'billed in part, the same cost',
        { action: 'bill', credits: 15 },
        10_000,
        85,
        { billingStatus: 'billed', credits: 25 },
      ],
      [
        'waived, the same cost',
        { action: 'waive' },
        10_000,
        100,
        { billingStatus: 'waived', credits: 30, uncollectedCredits: 20 },
      ],
      ['billed, a higher cost', { action: 'bill' }, 12_000, 74, { billingStatus: 'billed', credits: 36 }],
      [
        'billed in part, a higher cost',
        { action: 'bill', credits: 15 },
        12_000,
        79,
        { billingStatus: 'billed', credits: 31 },
      ],
      [
        'waived, a higher cost',
        { action: 'waive' },
        12_000,
        94,
        { billingStatus: 'waived', credits: 36, uncollectedCredits: 20 },
      ],
      ['billed, a lower cost', { action: 'bill' }, 5000, 95, { billingStatus: 'billed', credits: 15 }],
      [
        'billed in part, a cost that is lower than what was decided on, and higher than what was paid',
        { action: 'bill', credits: 15 },
        9000,
        85,
        { billingStatus: 'billed', credits: 25 },
      ],
      [
        'waived, a lower cost',
        { action: 'waive' },
        5000,
        100,
        { billingStatus: 'waived', credits: 15, uncollectedCredits: 5 },
      ],
      ['waived, less than was paid', { action: 'waive' }, 2000, 104, { billingStatus: 'billed', credits: 6 }],
      [
        'billed more than was open, a lower cost',
        { action: 'bill', credits: 25 },
        5000,
        90,
        { billingStatus: 'billed', credits: 20 },
      ],
    ])('keeps what was decided: %s', async (_, decision, tokens, left, after) => {
      const { user, record } = await timedOut();
      const decided = await review(record.id, decision, `first-${record.id}`);
      expect(decided.status).toBe(200);
      const late = await finalize(user, tokens);
      expect(late.body).toMatchObject({ late: true, uncollected: 0 });
      expect((await finalize(user, tokens)).text).toBe(late.text);
      expect(await recordOf(user)).toMatchObject({
        ...{ version: 3, uncollectedCredits: 0, reviewAction: decided.body.reviewAction, reviewedBy: 'root' },
        ...after,
      });
      expect((await balanceOf(user)).totalCredits).toBe(left);
      // No request that was sent before has an effect once more, under its key or without one.
      expect((await review(record.id, decision, `first-${record.id}`)).text).toBe(decided.text);
      for (const version of [1, 2, 3]) {
        const again = await review(record.id, { ...decision, version });
        expect(refusal(again)).toEqual([409, 'usage.already_reviewed']);
      }
      expect((await balanceOf(user)).totalCredits).toBe(left);
      await expectRollUpIsSound();
    });

    it.each<[action: string, paid: number]>([
      ['bill', 30],
      ['waive', 10],
    ])(
      'opens only what is above that, when the account cannot pay it, and takes a decision about it: %s',
      async (action, paid) => {
        const { user, record } = await timedOut();
        await review(record.id, { action });
        const left = (await balanceOf(user)).totalCredits;
        await root.post('/api/credits/deduct', { userId: user.userId, credits: left - 1, notes: 'x' });
        expect((await finalize(user, 12_000)).body).toMatchObject({ actualCredits: 36, uncollected: 5 });
        expect(await recordOf(user)).toMatchObject({
          ...{ version: 3, billingStatus: 'needs_review', reviewAction: action },
          ...{ credits: paid + 6, uncollectedCredits: 5 },
        });
        // The decision of before, sent again, is not about this.
        expect(refusal(await review(record.id, { action }))).toEqual([409, 'usage.changed']);
        await topUp(user, 50);
        const second = await review(record.id, { action: 'bill', version: 3 });
        expect(second.body).toMatchObject({ version: 4, credits: paid + 6, uncollectedCredits: 0 });
        expect((await balanceOf(user)).totalCredits).toBe(45);
        const { rows } = await service.owner.query(
          `SELECT version, action, uncollected_credits::integer AS open, billed_credits::integer AS billed, decided_by
             FROM usage_reviews WHERE usage_id = $1 ORDER BY version`,
          [record.id],
        );
        expect(rows).toEqual([
          { version: 1, action, open: 20, billed: action === 'bill' ? 20 : 0, decided_by: 'root' },
          { version: 3, action: 'bill', open: 5, billed: 5, decided_by: 'root' },
        ]);
      },
    );

    it('and at the same moment as one: each has its effect once, in either order', async () => {
      for (let round = 0; round < 5; round++) {
        const { user, record } = await timedOut();
        const [decided] = await Promise.all([
          review(record.id, { action: 'bill' }),
          finalize(user, 10_000),
          review(record.id, { action: 'waive' }),
        ]);
        const after = await recordOf(user);
        expect(after.credits - after.uncollectedCredits).toBe(110 - (await balanceOf(user)).totalCredits);
        // A finalize that comes first collects what is open now; then nothing is left to decide.
        if (decided.status === 200) expect((await balanceOf(user)).totalCredits).toBe(80);
        expect(after.billingStatus).not.toBe('needs_review');
      }
    });
  });

  it('and a late finalize agree: nothing is billed twice, and what was too much comes back to its lots', async () => {
    const user = await userWithCredits(service, 6);
    await initialize(user, 's');
    await user.post('/api/streaming-sessions/progress', { sessionId: 's', tokensGenerated: 3000 });
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    const [record] = (await user.get<{ items: RecordBody[] }>('/api/usage/records')).body.items;
    expect(record).toMatchObject({ credits: 9, uncollectedCredits: 3, billingStatus: 'needs_review' });
    await topUp(user, 10);
    await review(record?.id as number, { action: 'bill' });
    expect((await balanceOf(user)).totalCredits).toBe(7);
    const late = await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 1000 });
    expect(late.body).toMatchObject({ actualCredits: 3, late: true });
    expect((await balanceOf(user)).totalCredits).toBe(13);
    await expectSoundBooks(service);
    await expectUsageIsWhatWasTaken();
    await expectRollUpIsSound();
  });

  it('and the audit agree although the database’s clock was set back before a late finalize and a second review', async () => {
    const user = await userWithCredits(service, 6);
    await initialize(user, 's');
    await user.post('/api/streaming-sessions/progress', { sessionId: 's', tokensGenerated: 3000 });
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    const [record] = (await user.get<{ items: RecordBody[] }>('/api/usage/records')).body.items;
    const setBack = (column: string) =>
      service.owner.query(
        // In UTC: without a time zone this is a calculation that also a cluster takes in an UPDATE.
        `UPDATE usage_records
            SET ${column} = (${column} AT TIME ZONE 'UTC' + interval '11 seconds') AT TIME ZONE 'UTC' WHERE account_id = $1`,
        [user.userId],
      );
    await topUp(user, 100);
    await review(record?.id as number, { action: 'bill' });
    await setBack('timestamp');
    await setBack('reviewed_at');
    await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 100_000 });
    await topUp(user, 1000);
    expect((await review(record?.id as number, { action: 'bill', version: 3 })).status).toBe(200);
    await expectSoundBooks(service);
  });
});

describe('GET /usage/needs-review', () => {
  it('lists what waits, oldest first, by pages, and no longer what was reviewed', async () => {
    const user = await userWithCredits(service);
    const made: number[] = [];
    for (let index = 0; index < 5; index++) {
      made.push((await charge(user, `n${index}`, { billingStatus: 'needs_review' })).body.record.id);
    }
    await review(made[2] as number, { action: 'waive' });
    const seen: number[] = [];
    let cursor = '';
    do {
      const page = await root.get<{ items: { id: number; userId: string }[]; nextCursor: string | null }>(
        `/api/usage/needs-review?limit=2${cursor}`,
      );
      seen.push(...page.body.items.filter(({ userId }) => userId === user.userId).map(({ id }) => id));
      cursor = page.body.nextCursor === null ? '' : `&cursor=${page.body.nextCursor}`;
    } while (cursor !== '');
    expect(seen).toEqual([made[0], made[1], made[3], made[4]]);
  });
});

describe('GET /usage/system-stats', () => {
  /** The same from the records, added up plainly; 1,000 credits are 1 USD. */
  async function plainly(key: string, from: string | null, where = 'TRUE') {
    const { rows } = await service.owner.query<{ k: string; margin: object }>(
      `SELECT ${key} AS k, jsonb_build_object(
          'credits', sum(credits), 'creditsUsd', trim_scale(sum(credits) * 0.001)::text,
          'providerCostUsd', trim_scale(sum(provider_cost_usd))::text,
          'collectedCredits', sum(${COLLECTED}), 'uncollectedCredits', sum(${UNCOLLECTED}),
          'recordedCredits', coalesce(sum(credits) FILTER (WHERE billing_status = 'recorded'), 0),
          'incomeUsd', trim_scale(sum(${COLLECTED}) * 0.001)::text,
          'costedIncomeUsd', trim_scale(sum(${COLLECTED}) FILTER (WHERE provider_cost_usd IS NOT NULL) * 0.001)::text,
          'marginUsd', trim_scale(sum(${COLLECTED}) FILTER (WHERE provider_cost_usd IS NOT NULL) * 0.001
                                  - sum(provider_cost_usd))::text,
          'records', count(*), 'costedRecords', count(provider_cost_usd)) AS margin
         FROM usage_records WHERE ($1::timestamptz IS NULL OR timestamp >= $1) AND ${where} GROUP BY 1`,
      [from],
    );
    return Object.fromEntries(rows.map(({ k, margin }) => [k, margin]));
  }

  it('sets provider cost beside income, by model and by day, as a plain query over the records does', async () => {
    // Records of other days, so that the roll-up and the broken days at the edge both have a part.
    const user = await userWithCredits(service, 1000);
    for (const [id, cost] of [
      ['a', '0.01'],
      ['b', null],
      ['c', '0.003'],
    ] as const) {
      await charge(user, `margin-${id}`, { modelId: 'margin', tokens: 900, providerCostUsd: cost });
    }
    const { rows } = await service.owner.query<{ middle: Date }>(
      `SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY timestamp) AS middle FROM usage_records`,
    );
    const middle = rows[0]?.middle.toISOString() as string;
    for (const [query, from] of [
      ['', null],
      [`?startDate=${middle}`, middle],
    ] as const) {
      const { body } = await root.get<Record<string, unknown>>(`/api/usage/system-stats${query}`);
      const isChat = `service IN ('chat', 'chat-streaming') OR service ~ '^chat-streaming-(failed|aborted|timeout)$'`;
      expect(body.marginByModel).toEqual(await plainly('operation', from, `(${isChat})`));
      expect(body.marginByOperation).toEqual(await plainly('operation', from, `NOT (${isChat})`));
      expect(body.marginByDay).toEqual(
        await plainly(`to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD')`, from),
      );
      const all = (await plainly(`'all'`, from)).all as Record<string, unknown>;
      const { credits: totalCredits, records: totalRecords, ...figures } = all;
      expect(body).toMatchObject({ totalCredits, totalRecords, ...figures });
    }
    const { body } = await root.get<Record<string, unknown>>('/api/usage/system-stats');
    expect(body.marginByModel).toMatchObject({
      margin: { records: 3, costedRecords: 2, providerCostUsd: '0.013' },
    });
    expect(body.unpricedModels).toContainEqual({ modelId: 'margin', records: 3 });
    const waiting = await service.owner.query<{ count: string; sum: string }>(
      `SELECT count(*), sum(uncollected_credits) FROM usage_records WHERE billing_status = 'needs_review'`,
    );
    expect(body).toMatchObject({
      needsReview: Number(waiting.rows[0]?.count),
      needsReviewCredits: Number(waiting.rows[0]?.sum),
    });
  });

  it('has no cost and no margin, rather than 0, where nothing is known', async () => {
    const { body } = await root.get<Record<string, unknown>>('/api/usage/system-stats?endDate=2001-01-01');
    expect(body).toMatchObject({
      creditsUsd: '0',
      providerCostUsd: null,
      marginUsd: null,
      marginByModel: {},
    });
  });
});
