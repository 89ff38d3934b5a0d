import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
});
afterAll(() => service.close());

interface Effect {
  credits: number;
  incomeUsd: string;
  providerCostUsd: string | null;
  marginUsd: string | null;
}
interface Preview {
  records: number;
  since: string | null;
  charged: Effect;
  repriced: Effect;
  accounts: { accountId: string; records: number; credits: number; repricedCredits: number }[];
}

async function preview(rule: object): Promise<Preview> {
  const answer = await root.post<Preview>('/api/pricing/preview', rule);
  expect(answer.status, answer.text).toBe(200);
  return answer.body;
}
const charge = (user: HttpClient, modelId: string, tokens: number, more: object = {}) =>
  user.post('/api/usage/charge', { requestId: freshUser('call'), modelId, tokens, ...more });

describe('POST /pricing/preview', () => {
  it('200: the calls of 30 days at the new price: credits, income, cost, margin and the accounts it changes most', async () => {
    const modelId = freshUser('model');
    await root.post('/api/pricing', {
      modelId,
      pricePerThousandTokens: '4',
      providerCostPerThousandTokens: '0.001',
    });
    const [much, little] = [await userWithCredits(service, 1000), await userWithCredits(service, 10)];
    for (let call = 0; call < 3; call++) await charge(much, modelId, 1300);
    await charge(little, modelId, 2000, { providerCostUsd: '0.5' });
    // Paid in part: by the review of a call that the balance does not cover.
    await charge(little, modelId, 1000, { onInsufficient: 'review' });
    const old = await charge(little, modelId, 500, { onInsufficient: 'review' });
    await service.owner.query(
      `UPDATE usage_records SET timestamp = now() - interval '31 days' WHERE id = $1`,
      [(old.body as { record: { id: number } }).record.id],
    );
    const rule = { modelId, pricePerThousandTokens: '8', providerCostPerThousandTokens: '0.002' };
    // 1,300 tokens cost 6 and would cost 11; 2,000: 8 and 16; 1,000: 4, of which nothing was collected, and 8.
    expect(await preview(rule)).toMatchObject({
      records: 5,
      since: null,
      charged: { credits: 30, incomeUsd: '0.026', providerCostUsd: '0.5049', marginUsd: '-0.4789' },
      repriced: { credits: 57, incomeUsd: '0.049', providerCostUsd: '0.5098', marginUsd: '-0.4608' },
      accounts: [
        { accountId: much.userId, records: 3, credits: 18, repricedCredits: 33 },
        { accountId: little.userId, records: 2, credits: 12, repricedCredits: 24 },
      ],
    });
    // Nothing was changed by the question.
    const { body } = await root.get<{ current: { pricePerThousandTokens: string } }>(
      `/api/pricing/${modelId}`,
    );
    expect(body.current.pricePerThousandTokens).toBe('4');
    const same = await preview({
      modelId,
      pricePerThousandTokens: '4',
      providerCostPerThousandTokens: '0.001',
    });
    expect(same.repriced).toEqual(same.charged);
    expect(same.accounts).toEqual([]);
  });

  it('looks at the model itself and at the thousand names that cost most, however many are recorded', async () => {
    const family = freshUser('family');
    const modelId = `${family}-small`;
    const user = await userWithCredits(service, 10);
    await root.post('/api/pricing', { modelId: `${family}-*`, pricePerThousandTokens: '1' });
    expect((await charge(user, modelId, 1000)).status).toBe(201);
    const records = async (asked: string) =>
      (await preview({ modelId: asked, pricePerThousandTokens: '2' })).records;
    expect(await records(`${family}-*`)).toBe(1);
    await service.owner.query(
      `INSERT INTO usage_totals SELECT current_date, 'other', 'name-' || n, 1, 5, 0, 0, 0, 0, 5, 0 FROM generate_series(1, 1000) n`,
    );
    expect(await records(modelId)).toBe(1);
    expect(await records(`${family}-*`)).toBe(0);
    await service.owner.query(`DELETE FROM usage_totals WHERE operation LIKE 'name-%'`);
  });

  it('200: a rule counts for the models that it would price: a pattern, an alias, and none that have a nearer rule', async () => {
    const name = freshUser('model');
    const user = await userWithCredits(service, 1000);
    await root.post('/api/pricing', { modelId: `${name}-own`, pricePerThousandTokens: '2' });
    await root.post('/api/pricing/aliases', { alias: `${name}-alias`, modelId: `${name}-own` });
    for (const model of ['own', 'other', 'alias']) await charge(user, `${name}-${model}`, 1000);
    await charge(user, freshUser('else'), 1000);
    const of = async (modelId: string) => (await preview({ modelId, pricePerThousandTokens: '50' })).records;
    expect(await of(`${name}-own`)).toBe(2);
    expect(await of(`${name}-alias`)).toBe(1);
    // Of the pattern and the alias's own name, the pattern is nearer than the alias's model.
    expect(await of(`${name}*`)).toBe(2);
    expect(await of(`${name}-nothing`)).toBe(0);
  });

  it('400 for a rule without a price, 403 for a supervisor', async () => {
    expectProblem(await root.post<object>('/api/pricing/preview', { modelId: 'm' }), 400);
    const boss = service.as('boss', { role: 'supervisor' });
    const answer = await boss.post<object>('/api/pricing/preview', {
      modelId: 'm',
      pricePerThousandTokens: '1',
    });
    expectProblem(answer, 403);
  });
});
