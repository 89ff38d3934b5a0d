import { blended } from '../support/prices.js';
// @module-tag two-instances
// @module-tag pooler
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, HttpClient } from '../support/http-client.js';
import { holdUp } from '../support/hold-up.js';
import { countByStatus, initialize, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
});
afterAll(() => service.close());

interface Rule {
  id: number;
  modelId: string;
  pricePerThousandTokens: string;
  effectiveFrom: string;
  effectiveTo: string | null;
}
interface ModelPricing {
  current: Rule | null;
  upcoming: Rule[];
  history: Rule[];
}
interface Page {
  items: Rule[];
  nextCursor: string | null;
}

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const freshModel = () => freshUser('vendor/model:1.0');
const fromNow = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString();
const create = (modelId: string, price: unknown, more: object = {}) =>
  root.post<Rule>('/api/pricing', { modelId, pricePerThousandTokens: price, ...more });

async function created(modelId: string, price: string, more: object = {}): Promise<Rule> {
  const answer = await create(modelId, price, more);
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
}

async function pricingOf(modelId: string): Promise<ModelPricing> {
  const answer = await root.get<ModelPricing>(`/api/pricing/${encodeURIComponent(modelId)}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

/** All rules of a model in the order of their periods, as the table has them. */
async function periodsOf(modelId: string) {
  const { rows } = await service.owner.query<{ id: number; from: number; to: number | null; price: string }>(
    `SELECT id::integer, (extract(epoch FROM effective_from) * 1000)::float8 AS from,
            (extract(epoch FROM effective_to) * 1000)::float8 AS to,
            trim_scale((components #>> '{tokens standard,0,price}')::numeric * 1000)::text AS price
       FROM pricing_rules WHERE model_id = $1 AND effective_to IS DISTINCT FROM effective_from ORDER BY effective_from`,
    [modelId],
  );
  return rows;
}

/** From the first rule on there is one price at every instant, for ever. */
async function expectUnbroken(modelId: string): Promise<void> {
  const periods = await periodsOf(modelId);
  expect(periods.map(({ to }) => to)).toEqual([...periods.slice(1).map(({ from }) => from), null]);
}

/** Lets time pass for a model: all its periods move into the past, the earliest first, so that none meets another. */
async function letPass(modelId: string, milliseconds: number): Promise<void> {
  for (const { id } of await periodsOf(modelId)) {
    await service.owner.query(
      `UPDATE pricing_rules SET effective_from = effective_from - $2 * interval '1 millisecond',
              effective_to = effective_to - $2 * interval '1 millisecond' WHERE id = $1`,
      [id, milliseconds],
    );
  }
}

async function priceNow(modelId: string): Promise<unknown> {
  const answer = await root.post('/api/credits/calculate', { modelId, tokens: 1000 });
  return answer.body.pricePerThousandTokens;
}

const PRICES = {
  pricePerThousandTokens: '123456.123456789012345678',
  pricePerThousandInputTokens: '0.000000000000000001',
  pricePerThousandOutputTokens: '999999.999999999999999999',
  pricePerThousandCachedInputTokens: '0.123456789012345678',
  providerCostPerThousandTokens: '1000000',
  providerCostPerThousandInputTokens: '0',
  providerCostPerThousandOutputTokens: '0.100000000000000005',
  providerCostPerThousandCachedInputTokens: '123456.000000000000000001',
};

describe('POST /pricing', () => {
  it('201 with every price as it was sent, to the 18th decimal', async () => {
    const modelId = freshModel();
    const before = Date.now();
    const answer = await root.post<Rule>('/api/pricing', { modelId, ...PRICES });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      id: expect.any(Number) as number,
      modelId,
      source: 'rule',
      ...PRICES,
      components: [
        ['cached_input', '0.000123456789012345678', '123.456000000000000000001'],
        ['input', '0.000000000000000000001', '0'],
        ['output', '999.999999999999999999999', '0.000100000000000000005'],
        ['tokens', '123.456123456789012345678', '1000'],
      ].map(([name, price, providerCostUsd]) => ({
        ...{ class: name, unit: 'token', serviceTier: 'standard', contextAbove: 0, price, providerCostUsd },
      })),
      effectiveFrom: expect.any(String) as string,
      effectiveTo: null,
      createdBy: 'root',
    });
    expect(Date.parse(answer.body.effectiveFrom)).toBeGreaterThanOrEqual(before - SECOND);
    expect((await pricingOf(modelId)).current).toEqual(answer.body);
  });

  it.each([
    ['3.000', '3'],
    ['0.2500', '0.25'],
    ['0000003', '3'],
    ['0', '0'],
    ['0.000000000000000000', '0'],
    ['1000000.000000000000000000', '1000000'],
    ['100', '100'],
  ])('says the price %s as %s', async (sent, said) => {
    expect((await created(freshModel(), sent)).pricePerThousandTokens).toBe(said);
  });

  it.each(['.', '..'])('refuses the model %s: no URL can name it', async (modelId) => {
    expectProblem(await create(modelId, '1'), 400, { field: 'modelId' });
  });

  it('takes JSON numbers of up to 15 digits as what they say, and refuses those that may have been rounded', async () => {
    const rule = (price: string) =>
      root.post('/api/pricing', `{"modelId":"${freshUser('number')}","pricePerThousandTokens":${price}}`);
    for (const [sent, kept] of [
      ['2.5', '2.5'],
      ['3', '3'],
      ['1e-7', '0.0000001'],
      ['0.123456789012345', '0.123456789012345'],
    ] as const)
      expect((await rule(sent)).body, sent).toMatchObject({ pricePerThousandTokens: kept });
    for (const sent of ['0.1234567890123456', '-1', '1e7', '1e400', 'true'])
      expectProblem(await rule(sent), 400, { field: 'pricePerThousandTokens' });
  });

  it('leaves prices that were not given as null', async () => {
    expect(await created(freshModel(), '1')).toMatchObject({
      pricePerThousandInputTokens: null,
      pricePerThousandOutputTokens: null,
      pricePerThousandCachedInputTokens: null,
      providerCostPerThousandTokens: null,
    });
  });

  it('ends the open rule at the very instant the new one begins', async () => {
    const modelId = freshModel();
    const old = await created(modelId, '1');
    const now = await created(modelId, '2');
    expect((await pricingOf(modelId)).history).toEqual([{ ...old, effectiveTo: now.effectiveFrom }]);
    expect((await pricingOf(modelId)).current).toEqual(now);
    await expectUnbroken(modelId);
    expect(await priceNow(modelId)).toBe('2');
  });

  it('lets a future rule wait for its time, and end the present one then', async () => {
    const modelId = freshModel();
    await created(modelId, '1');
    const next = await created(modelId, '2', { effectiveFrom: fromNow(HOUR) });
    const later = await created(modelId, '3', { effectiveFrom: fromNow(2 * HOUR) });
    expect(await priceNow(modelId)).toBe('1');
    const before = await pricingOf(modelId);
    expect(before.current).toMatchObject({ pricePerThousandTokens: '1', effectiveTo: next.effectiveFrom });
    expect(before.upcoming).toEqual([{ ...next, effectiveTo: later.effectiveFrom }, later]);
    await letPass(modelId, HOUR + SECOND);
    expect(await priceNow(modelId)).toBe('2');
    const after = await pricingOf(modelId);
    expect(after.current?.id).toBe(next.id);
    expect(after.upcoming.map(({ id }) => id)).toEqual([later.id]);
    expect(after.history.map(({ pricePerThousandTokens: price }) => price)).toEqual(['1']);
    await expectUnbroken(modelId);
  });

  it.each<[what: string, period: () => object]>([
    ['over it', () => ({ effectiveFrom: fromNow(HOUR / 2), effectiveTo: fromNow(5 * HOUR) })],
    ['inside it', () => ({ effectiveFrom: fromNow(1.5 * HOUR), effectiveTo: fromNow(1.6 * HOUR) })],
    ['into its beginning', () => ({ effectiveFrom: fromNow(HOUR / 2), effectiveTo: fromNow(1.5 * HOUR) })],
    ['out of its end', () => ({ effectiveFrom: fromNow(1.5 * HOUR) })],
    ['from now on', () => ({})],
  ])('409 for a period that overlaps another, %s, naming the field; nothing changes', async (_, period) => {
    const modelId = freshModel();
    await created(modelId, '1', { effectiveFrom: fromNow(HOUR), effectiveTo: fromNow(2 * HOUR) });
    const before = await periodsOf(modelId);
    const answer = await create(modelId, '2', period());
    expect(answer).toMatchObject({
      status: 409,
      body: { code: 'pricing.overlap', errors: [{ field: 'effectiveFrom' }] },
    });
    expect(await periodsOf(modelId)).toEqual(before);
  });

  it('takes periods that touch: the end of one is not in it', async () => {
    const modelId = freshModel();
    const [one, two, three] = [fromNow(HOUR), fromNow(2 * HOUR), fromNow(3 * HOUR)];
    await created(modelId, '2', { effectiveFrom: two, effectiveTo: three });
    await created(modelId, '1', { effectiveFrom: one, effectiveTo: two });
    await created(modelId, '3', { effectiveFrom: three });
    await expectUnbroken(modelId);
  });

  it.each<[field: string, why: string, more: () => object]>([
    ['effectiveFrom', 'in the past', () => ({ effectiveFrom: fromNow(-2 * 60 * SECOND) })],
    ['effectiveFrom', 'a date alone', () => ({ effectiveFrom: '2030-01-01' })],
    ['effectiveFrom', 'no such day', () => ({ effectiveFrom: '2030-02-30T00:00:00Z' })],
    ['effectiveFrom', 'a number', () => ({ effectiveFrom: 2e12 })],
    [
      'effectiveTo',
      'before the beginning',
      () => ({ effectiveFrom: fromNow(HOUR), effectiveTo: fromNow(1) }),
    ],
    ['effectiveTo', 'in the past', () => ({ effectiveTo: fromNow(-1) })],
    [
      'effectiveTo',
      'the beginning itself',
      () => ({ effectiveFrom: '2030-01-01T00:00:00Z', effectiveTo: '2030-01-01T05:30:00+05:30' }),
    ],
    [
      'effectiveTo',
      'over already when a beginning a little ago is taken for now',
      () => ({ effectiveFrom: fromNow(-30 * SECOND), effectiveTo: fromNow(-10 * SECOND) }),
    ],
    ['modelId', 'empty', () => ({ modelId: '' })],
    ['modelId', 'too long', () => ({ modelId: 'm'.repeat(101) })],
    ['modelId', 'a line break', () => ({ modelId: 'a\nb' })],
    ['modelId', 'missing', () => ({ modelId: undefined })],
    ['createdBy', 'not the caller’s to say', () => ({ createdBy: 'another' })],
  ])('400 names %s: %s', async (field, _, more) => {
    const modelId = freshModel();
    const answer = await create(modelId, '1', more());
    expect(answer).toMatchObject({ status: 400, body: { code: 'validation.failed', errors: [{ field }] } });
    expect(await periodsOf(modelId)).toEqual([]);
  });

  it('201 again under its Idempotency-Key, though its end has passed since', async () => {
    const modelId = freshModel();
    const rule = { modelId, pricePerThousandTokens: '1', effectiveTo: fromNow(SECOND / 2) };
    const make = () => root.post<Rule>('/api/pricing', rule, { 'idempotency-key': modelId });
    const first = await make();
    expect(first.status, first.text).toBe(201);
    await expect.poll(async () => (await pricingOf(modelId)).current).toBeNull();
    expect(await make()).toMatchObject({ status: 201, body: first.body });
  });

  it('takes a beginning up to a minute ago for now: clocks differ', async () => {
    const before = Date.now();
    const rule = await created(freshModel(), '1', { effectiveFrom: fromNow(-30 * SECOND) });
    expect(Date.parse(rule.effectiveFrom)).toBeGreaterThanOrEqual(before - SECOND);
  });

  const BAD_PRICES = [
    ...['-1', '-0', '+1', '1e3', '1E-3', '.5', '1.', '0,5', ' 1', '1 ', '', '0x1', 'NaN', 'Infinity', '１'],
    ...[
      '0.1234567890123456789',
      '1000000.000000000000000001',
      '1000001',
      '10000000',
      -3,
      0.1234567890123456,
      true,
      ['1'],
    ],
  ];
  it.each(Object.keys(PRICES))('400 for a bad %s, naming it', async (field) => {
    for (const price of BAD_PRICES) {
      const answer = await create(freshModel(), '1', { [field]: price });
      expect(answer, JSON.stringify(price)).toMatchObject({ status: 400, body: { errors: [{ field }] } });
    }
  });

  it('400 without the blended price', async () => {
    const answer = await root.post('/api/pricing', { modelId: freshModel() });
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: 'pricePerThousandTokens' }] } });
  });

  it('403 for users and supervisors', async () => {
    for (const caller of [service.as(), service.as('boss', { role: 'supervisor' })]) {
      const body = { modelId: freshModel(), pricePerThousandTokens: '1' };
      expect((await caller.post('/api/pricing', body)).status).toBe(403);
    }
  });
});

describe('changes to one model at once', () => {
  it('10 new prices follow one another without overlap or gap, each 201 or 409', async () => {
    const modelId = freshModel();
    await created(modelId, '1000');
    const second = await service.another();
    const twin = second.as('root', { role: 'admin' });
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        (index % 2 === 0 ? root : twin).post('/api/pricing', {
          modelId,
          pricePerThousandTokens: String(index),
        }),
      ),
    );
    await second.close();
    const { 201: made = 0, 409: refused = 0 } = countByStatus(answers);
    expect(made + refused).toBe(10);
    // One after the other they do not meet, unless two begin in the same millisecond.
    expect(made).toBeGreaterThanOrEqual(5);
    expect(await periodsOf(modelId)).toHaveLength(1 + made);
    await expectUnbroken(modelId);
    const last = (await periodsOf(modelId)).at(-1);
    expect(await priceNow(modelId)).toBe(last?.price);
  });

  it('10 rules for the same period: one 201, nine 409', async () => {
    const modelId = freshModel();
    await created(modelId, '1');
    const effectiveFrom = fromNow(HOUR);
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => create(modelId, String(index), { effectiveFrom })),
    );
    expect(countByStatus(answers as unknown as Answer[])).toEqual({ 201: 1, 409: 9 });
    await expectUnbroken(modelId);
  });

  it('one of 5 withdrawals of a future rule succeeds, and the open rule is open again', async () => {
    const modelId = freshModel();
    await created(modelId, '1');
    const future = await created(modelId, '2', { effectiveFrom: fromNow(HOUR) });
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => root.delete(`/api/pricing/${future.id}`)),
    );
    const statuses = countByStatus(answers);
    expect(statuses[204]).toBe(1);
    expect((statuses[404] ?? 0) + (statuses[409] ?? 0)).toBe(4);
    await expectUnbroken(modelId);
  });

  it('ending a rule that waited for a new price to be made leaves no gap: it had ended already', async () => {
    const modelId = freshModel();
    const old = await created(modelId, '1');
    // One instance lets one change at a time go to the database.
    const instances = [await service.another(), await service.another()];
    const [one, other] = instances.map((on) => on.as('root', { role: 'admin' })) as [HttpClient, HttpClient];
    const [creating, ending] = await holdUp<Answer<object>>(
      service,
      'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))',
      [`pricing:${modelId}`],
      [
        () => one.post('/api/pricing', { modelId, pricePerThousandTokens: '2' }),
        () => other.delete(`/api/pricing/${old.id}`),
      ],
    );
    for (const instance of instances) await instance.close();
    expect([creating?.status, ending?.status]).toEqual([201, 409]);
    await expectUnbroken(modelId);
    expect(await priceNow(modelId)).toBe('2');
  });

  it('the same rule under one Idempotency-Key at two instances is made once, and each gets it', async () => {
    const modelId = freshModel();
    const instances = [await service.another(), await service.another()];
    const rule = { modelId, pricePerThousandTokens: '1', effectiveFrom: fromNow(HOUR) };
    const answers = await holdUp<Answer>(
      service,
      'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))',
      [`pricing:${modelId}`],
      instances.map(
        (on) => () =>
          on.as('root', { role: 'admin' }).post('/api/pricing', rule, { 'idempotency-key': modelId }),
      ),
    );
    for (const instance of instances) await instance.close();
    expect(countByStatus(answers)).toEqual({ 201: 2 });
    expect(answers[1]?.body).toEqual(answers[0]?.body);
  });

  it('new prices and withdrawals in a storm leave one price at every instant up to the last', async () => {
    const modelId = freshModel();
    await created(modelId, '1');
    const answers = await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        if (index % 3 === 2) {
          const { upcoming } = await pricingOf(modelId);
          const last = upcoming.at(index % 2 === 0 ? 0 : -1);
          return last === undefined ? undefined : root.delete(`/api/pricing/${last.id}`);
        }
        return create(modelId, String(index), { effectiveFrom: fromNow(HOUR + index * SECOND) });
      }),
    );
    for (const answer of answers) expect([undefined, 201, 204, 404, 409]).toContain(answer?.status);
    await expectUnbroken(modelId);
  });
});

describe('a session that starts while its price changes is settled at the price of its answer', () => {
  const settle = (user: HttpClient, sessionId: string) =>
    user.post<{ actualCredits: number }>('/api/streaming-sessions/finalize', {
      sessionId,
      actualTokens: 1000,
    });

  it('with a rule that is written after it and begins before it', async () => {
    const modelId = freshModel();
    const user = await userWithCredits(service, 1000);
    expect((await initialize(user, 's', { modelId })).body).toMatchObject({ estimatedCredits: 1 });
    await created(modelId, '500');
    await service.owner.query(
      `UPDATE pricing_rules SET effective_from = effective_from - interval '1 minute' WHERE model_id = $1`,
      [modelId],
    );
    expect((await settle(user, 's')).body).toMatchObject({ actualCredits: 1 });
  });

  it('with a rule that begins while it is being withdrawn', async () => {
    const modelId = freshModel();
    const user = await userWithCredits(service, 1000);
    await created(modelId, '1');
    const rule = await created(modelId, '500', { effectiveFrom: fromNow(SECOND) });
    let withdrawn: Promise<Answer> | undefined;
    // The withdrawal opens the rule before it again, and waits for its row.
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('SELECT 1 FROM pricing_rules WHERE superseded_by = $1 FOR UPDATE', [rule.id]);
    try {
      withdrawn = root.delete(`/api/pricing/${rule.id}`);
      await expect
        .poll(async () => (await initialize(user, freshUser('s'), { modelId })).body, {
          interval: 100,
          timeout: 5000,
        })
        .toMatchObject({ pricingSource: 'rule', estimatedCredits: 500 });
    } finally {
      await gate.query('ROLLBACK');
      gate.release();
    }
    expect((await withdrawn)?.status).toBe(204);
    const { body: open } = await user.get<{ sessionId: string; estimatedCredits: number }[]>(
      '/api/streaming-sessions/active',
    );
    const dear = open.find(({ estimatedCredits }) => estimatedCredits === 500);
    expect((await settle(user, dear?.sessionId as string)).body).toMatchObject({ actualCredits: 500 });
  });
});

describe('DELETE /pricing/:id', () => {
  const remove = (id: number | string) => root.delete(`/api/pricing/${id}`);

  it('204 makes a future rule disappear, and the rule it had ended is open again', async () => {
    const modelId = freshModel();
    const current = await created(modelId, '1');
    const future = await created(modelId, '2', { effectiveFrom: fromNow(HOUR) });
    expect((await remove(future.id)).status).toBe(204);
    expect(await pricingOf(modelId)).toEqual({ current, upcoming: [], history: [] });
    expect((await remove(future.id)).status).toBe(404);
  });

  it.each<[removed: string, order: number[]]>([
    ['the first', [0, 1, 2]],
    ['the one in the middle', [1, 0, 2]],
    ['the last', [2, 1, 0]],
    ['the first and then the last', [0, 2, 1]],
  ])(
    '204 for one of three future rules: %s first; the price goes on unbroken each time',
    async (_, order) => {
      const modelId = freshModel();
      const current = await created(modelId, '1');
      const futures: Rule[] = [];
      for (const hours of [1, 2, 3]) {
        futures.push(await created(modelId, String(hours), { effectiveFrom: fromNow(hours * HOUR) }));
      }
      for (const index of order) {
        expect((await remove((futures[index] as Rule).id)).status).toBe(204);
        await expectUnbroken(modelId);
      }
      expect((await pricingOf(modelId)).current).toEqual(current);
    },
  );

  it('204 for a future rule with an end of its own, though another begins after it', async () => {
    const modelId = freshModel();
    await created(modelId, '1');
    const bounded = await created(modelId, '2', {
      effectiveFrom: fromNow(HOUR),
      effectiveTo: fromNow(2 * HOUR),
    });
    const later = await created(modelId, '3', { effectiveFrom: fromNow(3 * HOUR) });
    expect((await remove(bounded.id)).status).toBe(204);
    await expectUnbroken(modelId);
    expect((await remove(later.id)).status).toBe(204);
    await expectUnbroken(modelId);
  });

  it('does not lengthen a rule that had an end of its own', async () => {
    const modelId = freshModel();
    const bounded = await created(modelId, '1', { effectiveTo: fromNow(HOUR) });
    const future = await created(modelId, '2', { effectiveFrom: fromNow(2 * HOUR) });
    expect((await remove(future.id)).status).toBe(204);
    expect((await pricingOf(modelId)).current).toEqual(bounded);
  });

  it('204 ends the present rule now: the model has its built-in price again', async () => {
    const modelId = freshModel();
    const rule = await created(modelId, '7');
    await letPass(modelId, HOUR);
    expect((await remove(rule.id)).status).toBe(204);
    const { current, history } = await pricingOf(modelId);
    expect(current).toBeNull();
    expect(history).toMatchObject([{ id: rule.id, pricePerThousandTokens: '7' }]);
    expect(Math.abs(Date.parse(history[0]?.effectiveTo as string) - Date.now())).toBeLessThan(30 * SECOND);
    const quote = await root.post('/api/credits/calculate', { modelId, tokens: 1000 });
    expect(quote.body).toMatchObject({
      pricingSource: 'fallback',
      credits: 1,
      pricingRuleId: expect.any(Number) as number,
    });
    // The next price can begin at once.
    await created(modelId, '8');
  });

  it('409 for a rule that has ended, which stays as it is', async () => {
    const modelId = freshModel();
    const old = await created(modelId, '1');
    await created(modelId, '2');
    const before = await periodsOf(modelId);
    const answer = await remove(old.id);
    expect(answer).toMatchObject({ status: 409, body: { code: 'pricing.rule_ended' } });
    expect(await periodsOf(modelId)).toEqual(before);
  });

  it('404 for an unknown id, 400 for an invalid one, 403 for others than admins', async () => {
    const unknown = await remove('9007199254740991');
    expect(unknown).toMatchObject({ status: 404, body: { code: 'pricing.rule_not_found' } });
    for (const id of ['0', '-1', '1.5', 'abc', '9007199254740992', '99999999999999999999']) {
      expect(await remove(id), id).toMatchObject({ status: 400, body: { errors: [{ field: 'id' }] } });
    }
    expect((await service.as('boss', { role: 'supervisor' }).delete('/api/pricing/1')).status).toBe(403);
  });
});

describe('GET /pricing', () => {
  it('lists the rules in force, each once over all pages, and no other', async () => {
    const models = Array.from({ length: 23 }, freshModel);
    const inForce: number[] = [];
    for (const modelId of models) {
      await created(modelId, '1');
      inForce.push((await created(modelId, '2')).id);
      await created(modelId, '3', { effectiveFrom: fromNow(HOUR) });
    }
    const user = service.as();
    for (const limit of [1, 5, 200]) {
      const listed: Rule[] = [];
      let cursor = '';
      do {
        const page = await user.get<Page>(`/api/pricing?limit=${limit}${cursor}`);
        expect(page.status).toBe(200);
        expect(page.body.items.length).toBeLessThanOrEqual(limit);
        listed.push(...page.body.items);
        cursor = page.body.nextCursor === null ? '' : `&cursor=${page.body.nextCursor}`;
      } while (cursor !== '');
      expect(listed.filter(({ modelId }) => models.includes(modelId)).map(({ id }) => id)).toEqual(inForce);
      expect(new Set(listed.map(({ modelId }) => modelId)).size).toBe(listed.length);
    }
  });

  it.each(['limit=0', 'limit=201', 'cursor=x', 'modelId=a'])('400 for ?%s', async (query) => {
    const answer = await root.get(`/api/pricing?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: query.split('=')[0] }] } });
  });
});

describe('GET /pricing/:modelId', () => {
  it.each([
    'anthropic.claude-3-opus-20240229-v1:0',
    'vendor/family/model:1.0',
    'openrouter/meta-llama/llama-3.1-70b:free',
    'a//b',
    'ft:gpt-4o:org::id',
    'with blank and ünï 😀',
    'a+b&c=d',
    '100%',
    'a%2Fb',
    'what?#hash',
    'back\\slash',
  ])('finds %j, encoded', async (modelId) => {
    const current = await created(modelId, '5');
    expect(await pricingOf(modelId)).toEqual({ current, upcoming: [], history: [] });
  });

  it.each(['raw/slashes/model:2.0', 'raw:colon', 'raw.dot', 'raw//two', 'raw@at'])(
    'finds %j, as it is',
    async (modelId) => {
      const current = await created(modelId, '5');
      const answer = await root.get(`/api/pricing/${modelId}`);
      expect(answer).toMatchObject({ status: 200, body: { current } });
    },
  );

  it.each(['import', '1', 'pricing', 'active/all', 'api/health', ':id', '__proto__', 'constructor', 'null'])(
    'takes %j for a model, though it looks like something else',
    async (modelId) => {
      const current = await created(modelId, '5');
      expect((await root.get(`/api/pricing/${modelId}`)).body).toEqual({
        current,
        upcoming: [],
        history: [],
      });
    },
  );

  it('shows the rule in force and the next and last 200, however many there are', async () => {
    const modelId = freshModel();
    await service.owner.query(
      `INSERT INTO pricing_rules (model_id, components, effective_from, effective_to, created_by)
       SELECT $1, jsonb_set($2, '{tokens standard,0,price}', to_jsonb(((n + 300) * 0.001)::text)),
              now() + (n - 0.5) * interval '1 hour', now() + (n + 0.5) * interval '1 hour', 'root'
         FROM generate_series(-250, 250) n`,
      [modelId, JSON.stringify(blended(1))],
    );
    const { current, upcoming, history } = await pricingOf(modelId);
    const pricesOf = (rules: Rule[]) => rules.map(({ pricePerThousandTokens: price }) => Number(price));
    expect(current?.pricePerThousandTokens).toBe('300');
    expect(pricesOf(upcoming)).toEqual(Array.from({ length: 200 }, (_, index) => 301 + index));
    expect(pricesOf(history)).toEqual(Array.from({ length: 200 }, (_, index) => 299 - index));
  });

  it('is empty for a model without rules', async () => {
    expect(await pricingOf(freshModel())).toEqual({ current: null, upcoming: [], history: [] });
  });

  it.each([
    ['too long', 'm'.repeat(101)],
    ['control characters', 'a%00b'],
    ['blanks around it', '%20a'],
    ['broken encoding', '%E0%A4%A'],
  ])('400 for an id with %s', async (_, path) => {
    expect((await root.get(`/api/pricing/${path}`)).status).toBe(400);
  });

  it('401 without credentials', async () => {
    for (const path of ['', '/a/b']) {
      expect((await service.anonymous().get(`/api/pricing${path}`)).status).toBe(401);
    }
  });
});

describe('what a call costs', () => {
  const calculate = (modelId: string, tokens: object) =>
    service.as().post('/api/credits/calculate', { modelId, ...tokens });

  it.each([
    ['anthropic.claude-3-sonnet-20240229-v1:0', '3', 'default'],
    ['anthropic.claude-3-haiku-20240307-v1:0', '0.25', 'default'],
    ['anthropic.claude-instant-v1', '0.8', 'default'],
    ['amazon.titan-text-express-v1', '0.3', 'default'],
    ['unknown/model', '1', 'fallback'],
    ['Anthropic.Claude-Instant-V1', '1', 'fallback'],
  ])('follows a rule for %s, and without one the price %s (%s)', async (modelId, price, pricingSource) => {
    const quote = async () => (await calculate(modelId, { tokens: 1000 })).body;
    const builtIn = {
      pricePerThousandTokens: price,
      pricingSource,
      pricingRuleId: expect.any(Number) as number,
    };
    expect(await quote()).toMatchObject(builtIn);
    const rule = await created(modelId, '17.5');
    expect(await quote()).toMatchObject({
      ...{ credits: 18, pricePerThousandTokens: '17.5', pricingSource: 'rule', pricingRuleId: rule.id },
    });
    await letPass(modelId, HOUR);
    await root.delete(`/api/pricing/${rule.id}`);
    expect(await quote()).toMatchObject(builtIn);
  });

  const [INPUT, OUTPUT, CACHED] = [
    { inputTokens: 1000 },
    { outputTokens: 1000 },
    { cachedInputTokens: 1000 },
  ];
  const NONE = { inputTokens: 0, outputTokens: 0 };
  const CLASS_PRICES = {
    input: { pricePerThousandInputTokens: '20' },
    output: { pricePerThousandOutputTokens: '300' },
    cached: { pricePerThousandCachedInputTokens: '4' },
  };
  it.each<[prices: (keyof typeof CLASS_PRICES)[], input: number, output: number, cached: number]>([
    [[], 7, 7, 7],
    [['input'], 20, 7, 20],
    [['output'], 7, 300, 7],
    [['cached'], 7, 7, 4],
    [['input', 'output'], 20, 300, 20],
    [['input', 'cached'], 20, 7, 4],
    [['output', 'cached'], 7, 300, 4],
    [['input', 'output', 'cached'], 20, 300, 4],
  ])(
    'with a blended price of 7 and prices of its own for %j: input %i, output %i, cached input %i',
    async (names, input, output, cached) => {
      const modelId = freshModel();
      await created(modelId, '7', Object.assign({}, ...names.map((name) => CLASS_PRICES[name])) as object);
      const credits = async (tokens: object) => (await calculate(modelId, tokens)).body.credits;
      expect(await credits({ tokens: 1000 })).toBe(7);
      expect(await credits({ ...NONE, ...INPUT })).toBe(input);
      expect(await credits({ ...NONE, ...OUTPUT })).toBe(output);
      expect(await credits({ ...NONE, ...CACHED })).toBe(cached);
      expect(await credits({ ...INPUT, ...OUTPUT, ...CACHED })).toBe(input + output + cached);
    },
  );

  it('422 for a session or a quote with a model that has no price, under UNPRICED_MODEL_POLICY=reject', async () => {
    const strict = await service.another({ UNPRICED_MODEL_POLICY: 'reject' });
    const user = await userWithCredits(strict, 100);
    const modelId = freshModel();
    const refused = await initialize(user, 's', { modelId });
    expect(refused).toMatchObject({
      status: 422,
      body: { code: 'pricing.unpriced_model', errors: [{ field: 'modelId' }] },
    });
    expect((await user.get('/api/credits/balance')).body).toMatchObject({
      totalCredits: 100,
      heldCredits: 0,
    });
    const quote = () => user.post('/api/credits/calculate', { modelId, tokens: 1000 });
    expect(await quote()).toMatchObject({ status: 422, body: { code: 'pricing.unpriced_model' } });
    expect((await initialize(user, 'known')).status).toBe(201);
    await created(modelId, '1');
    expect((await initialize(user, 's', { modelId })).status).toBe(201);
    expect(await quote()).toMatchObject({ status: 200, body: { credits: 1 } });
    await strict.close();
  });

  it('is what it was when the session began, though the price changes or ends before it does', async () => {
    const user = await userWithCredits(service, 100_000);
    const modelId = freshModel();
    const rule = await created(modelId, '10', {
      ...{ pricePerThousandInputTokens: '100', pricePerThousandCachedInputTokens: '1' },
    });
    for (const sessionId of ['changed', 'ended', 'timed-out']) await initialize(user, sessionId, { modelId });
    const finalize = (sessionId: string) =>
      user.post('/api/streaming-sessions/finalize', {
        ...{ sessionId, inputTokens: 2000, outputTokens: 3000, cachedInputTokens: 4000 },
      });
    const cost = 2 * 100 + 3 * 10 + 4;
    const second = await created(modelId, '999');
    expect((await finalize('changed')).body).toMatchObject({ actualCredits: cost });
    await letPass(modelId, HOUR);
    await root.delete(`/api/pricing/${second.id}`);
    expect((await finalize('ended')).body).toMatchObject({ actualCredits: cost });
    expect((await initialize(user, 'new', { modelId })).body).toMatchObject({ estimatedCredits: 1 });
    const records = await user.get<{ items: Record<string, unknown>[] }>('/api/usage/records');
    for (const record of records.body.items) {
      expect(record).toMatchObject({ pricingRuleId: rule.id, pricingSource: 'rule', credits: cost });
    }
    expect(records.body.items).toHaveLength(2);
  });
});
