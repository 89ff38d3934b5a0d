import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASS_NAMES } from '../../src/pricing/price-classes.js';
import type { HttpClient } from '../support/http-client.js';
import { userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
});
afterAll(() => service.close());

interface Amount {
  class: string;
  quantity: number;
  credits: string | null;
  providerCostUsd: string | null;
}
interface Details {
  id: number;
  credits: number;
  pricingNotes: string[];
  classes: Amount[] | null;
  exactCredits: string | null;
  entries: { kind: string; credits: number; allocationId: number }[];
  hasAllEntries: boolean;
}
interface Classes {
  classes: (Amount & { records: number; fallbackRecords: number })[];
  since: string | null;
}

async function model(...components: object[]): Promise<string> {
  const modelId = freshUser('model');
  expect((await root.post('/api/pricing', { modelId, components })).status).toBe(201);
  return modelId;
}
async function charge(user: HttpClient, call: object): Promise<number> {
  const body = { requestId: freshUser('call'), ...call };
  const answer = await user.post<{ record: { id: number } }>('/api/usage/charge', body);
  expect(answer.status, answer.text).toBe(201);
  return answer.body.record.id;
}
const details = async (reader: HttpClient, id: number) =>
  (await reader.get<Details>(`/api/usage/records/${id}`)).body;

describe('GET /usage/records/:id', () => {
  it('has what each class cost at the price of the call, and the sum that was rounded', async () => {
    const modelId = await model(
      { class: 'input', price: '0.003', providerCostUsd: '0.000003' },
      { class: 'output', price: '0.015', providerCostUsd: '0.000015' },
    );
    const user = await userWithCredits(service, 1000);
    const id = await charge(user, { modelId, quantities: { input: 100, output: 10, reasoning: 5 } });
    await root.post('/api/pricing', { modelId, pricePerThousandTokens: '900' });
    const record = await details(user, id);
    expect(record).toMatchObject({ id, credits: 1, exactCredits: '0.525', pricingNotes: ['reasoning'] });
    expect(record.classes).toContainEqual({
      ...{ class: 'reasoning', quantity: 5, pricedAs: 'output', price: '0.015' },
      ...{ credits: '0.075', providerCostUsd: '0.000075' },
    });
  });

  it('has the newest 200 ledger entries of a session that grew more often', async () => {
    const modelId = await model({ class: 'tokens', price: '0.01' });
    const user = await userWithCredits(service, 1000);
    const session = { sessionId: freshUser('session') };
    await user.post('/api/streaming-sessions/initialize', { ...session, modelId, estimatedTokens: 0 });
    for (let tokens = 1; tokens <= 205; tokens++)
      await user.post('/api/streaming-sessions/progress', { ...session, tokensGenerated: tokens * 100 });
    await user.post('/api/streaming-sessions/finalize', { ...session, actualTokens: 0 });
    const page = await user.get<{ items: { id: number }[] }>('/api/usage/records');
    const record = await details(user, page.body.items[0]?.id as number);
    expect(record.entries).toHaveLength(200);
    expect(record.entries.at(-1)).toMatchObject({ kind: 'refund' });
    expect(record.hasAllEntries).toBe(false);
  });

  it('has no classes of a call that was not priced here', async () => {
    const user = service.as(freshUser());
    const made = await user.post<{ id: number }>('/api/usage/record', {
      ...{ service: 'tts', operation: 'speak', credits: 3 },
    });
    expect(await details(user, made.body.id)).toMatchObject({
      credits: 3,
      classes: null,
      exactCredits: null,
    });
  });

  it('has the life of its session: holds, settlement and review, lot by lot, and the budgets that it counted in', async () => {
    const modelId = await model({ class: 'tokens', price: '0.01' });
    const user = await userWithCredits(service, 25);
    await root.post('/api/credits/allocate', { userId: user.userId, credits: 30, expiryDays: 9 });
    const own = await user.get<{ activeAllocations: { id: number }[] }>('/api/credits/balance');
    const [first, second] = own.body.activeAllocations.map(({ id }) => id);
    const budget = { scope: 'account', unit: 'credits', window: 'month', amount: 1000 };
    const made = await user.post<{ id: number }>('/api/budgets', budget);
    const sessionId = freshUser('session');
    await user.post('/api/streaming-sessions/initialize', { sessionId, modelId, estimatedTokens: 1000 });
    await user.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 2900 });
    await user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens: 3300 });
    const page = await user.get<{ items: { id: number }[] }>('/api/usage/records');
    const record = await details(user, page.body.items[0]?.id as number);
    expect(record).toMatchObject({
      credits: 33,
      hasAllEntries: true,
      budgets: [{ id: made.body.id, ...budget, mode: 'hard', scopeId: null }],
      session: {
        ...{ estimatedCredits: 10, firstHold: 12, heldCredits: 35, tokensGenerated: 2900 },
        ...{ endReason: 'finalized', isLate: false },
      },
    });
    // The lot that expires first gives first, and gets back last.
    expect(record.entries.map(({ kind, credits, allocationId }) => [kind, credits, allocationId])).toEqual([
      ['hold', -12, first],
      ['hold', -18, first],
      ['hold', -5, second],
      ['refund', 2, second],
    ]);
    expect(record.entries.reduce((sum, { credits }) => sum + credits, 0)).toBe(-33);
  });

  it('has what a charge and its review took, and not what others did meanwhile', async () => {
    const user = await userWithCredits(service, 10);
    const modelId = await model({ class: 'tokens', price: '0.01' });
    const id = await charge(user, { modelId, tokens: 1500, onInsufficient: 'review' });
    await root.post('/api/credits/allocate', { userId: user.userId, credits: 30 });
    await charge(user, { modelId, tokens: 100 });
    await root.post(`/api/usage/records/${id}/review`, { version: 1, action: 'bill' });
    const record = await details(user, id);
    expect(record).toMatchObject({ credits: 15, billingStatus: 'billed', session: null, budgets: [] });
    expect(record.entries.map(({ kind, credits }) => [kind, credits])).toEqual([
      ['charge', -9],
      ['charge', -6],
    ]);
  });

  it('is the same 404 for another user’s record as for none; supervisors and services see it', async () => {
    const user = await userWithCredits(service, 1000);
    const id = await charge(user, { modelId: freshUser('model'), tokens: 10 });
    for (const [reader, which] of [
      [service.as(freshUser()), id],
      [root, 999_999_999],
    ] as const)
      expectProblem(await reader.get<object>(`/api/usage/records/${which}`), 404, {
        code: 'usage.not_found',
      });
    for (const reader of [user, service.as('boss', { role: 'supervisor' }), service.internal()])
      expect((await details(reader, id)).id).toBe(id);
    expectProblem(await root.get<object>('/api/usage/records/alice'), 400, { field: 'id' });
  });

  it('of a key is only of its owner’s account', async () => {
    const owner = await userWithCredits(service, 1000);
    const made = await root.post<{ key: string }>('/api/api-keys', {
      ...{ name: 'reads', permissions: ['usage:read'] },
    });
    const header = { 'x-api-key': made.body.key };
    const id = await charge(owner, { modelId: freshUser('model'), tokens: 10 });
    const answer = await service.anonymous().get<object>(`/api/usage/records/${id}`, header);
    expectProblem(answer, 404, { code: 'usage.not_found' });
  });
});

describe('GET /usage/classes', () => {
  it('adds up what the records’ own details say, over tiers, thresholds and classes without a price', async () => {
    const random = new SeededRandom(7);
    const models = [
      await model(
        { class: 'input', price: '0.001', providerCostUsd: '0.000001' },
        { class: 'input', price: '0.002', providerCostUsd: '0.000002', contextAbove: 1000 },
        { class: 'input', price: '0.0035', providerCostUsd: '0.000003', contextAbove: 5000 },
        { class: 'input', price: '0.004', providerCostUsd: '0.000004', serviceTier: 'priority' },
        { class: 'output', price: '0.0077', providerCostUsd: '0.000007' },
      ),
      await model({ class: 'output', price: '0.02' }, { class: 'images', price: '1.5' }),
      freshUser('model'),
    ];
    const user = await userWithCredits(service, 1_000_000);
    const ids: number[] = [];
    for (let call = 0; call < 40; call++) {
      const count = (most: number) => random.integer(0, most);
      const quantities = {
        input: count(9000),
        cached_input: count(3000),
        reasoning: count(50),
        images: count(2),
      };
      const serviceTier = random.pick(['standard', 'priority']);
      ids.push(await charge(user, { modelId: models[call % 3], quantities, serviceTier }));
    }
    const sums = new Map<string, { quantity: number; credits: number; records: number; fallbacks: number }>();
    for (const id of ids) {
      const { classes, pricingNotes } = await details(user, id);
      for (const { class: name, quantity, credits } of classes ?? []) {
        if (quantity === 0) continue;
        const sum = sums.get(name) ?? { quantity: 0, credits: 0, records: 0, fallbacks: 0 };
        sums.set(name, {
          quantity: sum.quantity + quantity,
          credits: sum.credits + Number(credits ?? 0),
          records: sum.records + 1,
          fallbacks: sum.fallbacks + (pricingNotes.includes(name) ? 1 : 0),
        });
      }
    }
    for (const [reader, path] of [
      [user, ''],
      [root, `/${user.userId}`],
    ] as const) {
      const { body } = await reader.get<Classes>(`/api/usage/classes${path}`);
      expect(body.since).toBeNull();
      expect(body.classes.map((each) => each.class).sort()).toEqual([...sums.keys()].sort());
      for (const {
        class: name,
        quantity,
        credits,
        records,
        fallbackRecords,
        providerCostUsd,
      } of body.classes) {
        const sum = sums.get(name);
        expect([quantity, records, fallbackRecords]).toEqual([sum?.quantity, sum?.records, sum?.fallbacks]);
        expect(Number(credits)).toBeCloseTo(sum?.credits ?? NaN, 6);
        // One of the three models has no provider cost.
        expect(providerCostUsd).toBeNull();
      }
    }
    const others = await root.get<Classes>('/api/usage/classes/all?startDate=2026-01-01');
    expect(others.body.classes.length).toBeGreaterThanOrEqual(sums.size);
  });

  it('has the exact cost of the provider where it is known of every call, and nothing outside of the range', async () => {
    const modelId = await model({ class: 'input', price: '0.001', providerCostUsd: '0.0000003' });
    const user = await userWithCredits(service, 1000);
    for (const input of [100, 23]) await charge(user, { modelId, quantities: { input } });
    const { body } = await user.get<Classes>('/api/usage/classes');
    expect(body.classes).toEqual([
      {
        class: 'input',
        quantity: 123,
        credits: '0.123',
        providerCostUsd: '0.0000369',
        records: 2,
        fallbackRecords: 0,
      },
    ]);
    const before = await user.get<Classes>('/api/usage/classes?endDate=2020-01-01');
    expect(before.body).toEqual({ classes: [], since: null });
    expectProblem(await root.get<object>(`/api/usage/classes/${freshUser()}`), 404, {
      code: 'account.not_found',
    });
  });

  it('counts the newest records of a range that has too many, and says from when', async () => {
    const modelId = await model({ class: 'input', price: '1' });
    const user = await userWithCredits(service, 1000);
    for (const input of [1, 2, 4]) await charge(user, { modelId, quantities: { input } });
    const { rows } = await service.owner.query<{ usage: Classes; oldest: Date }>(
      `SELECT usage_classes($1, NULL, NULL, 2, 9, NULL) AS usage,
              (SELECT timestamp FROM usage_records WHERE account_id = $1 ORDER BY id OFFSET 1 LIMIT 1) AS oldest`,
      [user.userId],
    );
    expect(rows[0]?.usage.classes[0]?.quantity).toBe(6);
    expect(new Date(rows[0]?.usage.since ?? '')).toEqual(rows[0]?.oldest);
  });

  it('counts the newest records of a range that has too many prices, and says from when', async () => {
    const modelId = await model(
      { class: 'input', price: '1' },
      { class: 'input', price: '2', contextAbove: 10 },
    );
    const user = await userWithCredits(service, 1000);
    for (const input of [1, 20, 2, 40]) await charge(user, { modelId, quantities: { input } });
    await charge(user, { modelId, quantities: { input: 4 }, serviceTier: 'batch' });
    const { rows } = await service.owner.query<{ usage: Classes; oldest: Date }>(
      `SELECT usage_classes($1, NULL, NULL, 9, n, NULL) AS usage,
              (SELECT timestamp FROM usage_records WHERE account_id = $1 ORDER BY id OFFSET 3 LIMIT 1) AS oldest
         FROM generate_series(2, 3) n ORDER BY n`,
      [user.userId],
    );
    expect(rows.map(({ usage }) => usage.classes[0]?.quantity)).toEqual([44, 67]);
    expect(new Date(rows[0]?.usage.since ?? '')).toEqual(rows[0]?.oldest);
    expect(rows[1]?.usage.since).toBeNull();
  });

  it('is answered within seconds whatever one user has stored', async () => {
    const modelId = await model(
      { class: 'input', price: '1' },
      { class: 'input', price: '2', contextAbove: 10 },
    );
    const user = service.as(freshUser());
    const quantities = Object.fromEntries(CLASS_NAMES.map((name) => [name, 1]));
    await charge(user, { modelId, quantities, onInsufficient: 'review' });
    await service.owner.query(
      `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, billing_status,
                                  pricing_rule_id, service_tier, fallback_classes, quantities)
       SELECT account_id, user_id, timestamp - make_interval(secs => n), service, operation, 0, 'recorded',
              pricing_rule_id, service_tier, fallback_classes,
              (SELECT jsonb_object_agg(key, 1 + n) FROM jsonb_each(quantities))
         FROM usage_records, generate_series(1, 50000) n WHERE account_id = $1`,
      [user.userId],
    );
    const hasty = await service.another({ DB_REPORT_TIMEOUT_MS: '10000' });
    const { status, body } = await hasty.as(user.userId).get<Classes>('/api/usage/classes');
    await hasty.close();
    expect(status).toBe(200);
    expect(body.classes).toHaveLength(CLASS_NAMES.length);
    expect(body.classes[0]?.records).toBe(50_000);
    expect(body.since).not.toBeNull();
  });
});
