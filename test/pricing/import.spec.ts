// @module-tag two-instances
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, HttpClient } from '../support/http-client.js';
import { holdUp } from '../support/hold-up.js';
import { initialize, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  // Known from here on, so that no case below makes an account by the way.
  for (const client of [root, service.as('boss', { role: 'supervisor' })])
    await client.get('/api/credits/balance');
});
afterAll(() => service.close());

/** A map in LiteLLM's form with every oddity of the real one; as text, since its numbers are more than doubles. */
const PRICE_MAP = readFileSync(new URL('price-map.json', import.meta.url), 'utf8');
const HOUR = 3600_000;
const PATH = '/api/pricing/import';

interface ImportAnswer {
  created: number;
  closed: number;
  unchanged: number;
  changes: { modelId: string; before: object | null; after: object }[];
  skipped: { modelId: string; reason: string }[];
  notes: { modelId: string; note: string }[];
}
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

const send = (map: unknown, query = '', on = root) => on.post<ImportAnswer>(`${PATH}${query}`, map);

async function imported(map: unknown, query = '', on = root): Promise<ImportAnswer> {
  const answer = await send(map, query, on);
  expect(answer.status, answer.text).toBe(200);
  return answer.body;
}

async function pricingOf(modelId: string): Promise<ModelPricing> {
  const answer = await root.get<ModelPricing>(`/api/pricing/${encodeURIComponent(modelId)}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

const currentOf = async (modelId: string) => (await pricingOf(modelId)).current;
const createRule = (modelId: string, price: string, more: object = {}) =>
  root.post<Rule>('/api/pricing', { modelId, pricePerThousandTokens: price, ...more });
const freshModel = () => freshUser('vendor/model:1.0');

/** A map of one model as JSON text, with prices per token as they are written. */
const mapOf = (modelId: string, input: string, output = input) =>
  `{${JSON.stringify(modelId)}:{"mode":"chat","input_cost_per_token":${input},"output_cost_per_token":${output}}}`;

async function changingNothing(work: () => Promise<void>): Promise<void> {
  const before = await snapshot(service.owner);
  await work();
  expect(await snapshot(service.owner)).toEqual(before);
}

/** From the first rule on there is one price at every instant, to the end of the last one. */
async function expectUnbroken(modelId: string): Promise<void> {
  const { current, upcoming, history } = await pricingOf(modelId);
  const rules = [...history].reverse().concat(current ?? [], upcoming);
  for (const [index, rule] of rules.slice(0, -1).entries())
    expect(rule.effectiveTo).toBe(rules[index + 1]?.effectiveFrom);
}

const ceiling = (field: string) => `${field} is implausible: above the ceiling of 0.001 USD a token`;
const SKIPPED: Record<string, string> = {
  sample_spec: 'is not a model',
  general_rules: 'is not a model',
  'a remark': 'is not a model',
  'a list': 'is not a model',
  'a number': 'is not a model',
  'acme/long-prompts-only': 'has prices for long prompts only',
  'acme/without-price': 'has no price',
  'acme/null-price': 'has no price',
  'acme/free': 'costs 0: free or unknown, includeFree=true imports it',
  'acme/free-embedding': 'costs 0: free or unknown, includeFree=true imports it',
  'acme/text-for-price': 'input_cost_per_token is not a number',
  'acme/truth-for-price': 'output_cost_per_token is not a number',
  'acme/list-for-price': 'input_cost_per_token is not a number',
  'acme/negative': 'input_cost_per_token is negative',
  'acme/endless': 'input_cost_per_token has more digits than a price',
  'acme/huge': 'output_cost_per_token has more digits than a price',
  'acme/per-million-by-mistake': ceiling('input_cost_per_token'),
  'acme/hardly-too-dear': ceiling('output_cost_per_token'),
  'acme/cached-too-dear': ceiling('cache_read_input_token_cost'),
  '': 'the model id must not be empty',
  '..': 'the model id must not be ".."',
  ' acme/blank': 'the model id must not begin or end with blanks',
  'acme/line\nbreak': 'the model id must not contain control characters',
  [`acme/${'x'.repeat(96)}`]: 'the model id must have at most 100 characters',
};
const IMPORTED = [
  ...['acme/chat', 'acme/every-decimal', 'acme/responses', 'acme/completion', 'acme/without-mode'],
  ...['acme/embedding', 'acme/embedding-one-price', 'acme/rerank', 'acme/dearest', 'acme/base-and-tiers'],
  ...['acme/cached-for-nothing', 'acme/tiers-only', 'acme/*/by-second', 'acme/video-and-text'],
  ...['acme/only-input', 'acme/only-output', 'acme/free-output', 'acme/free-input', 'acme/by-request'],
  ...['acme/by-query', 'acme/pictures', 'acme/voices', 'acme/talk', 'acme/odd-mode', 'acme/number-for-mode'],
];
const costsNothing = (modelId: string, name: string) => ({
  modelId,
  note: `costs 0 for ${name} (free or unknown, includeFree=true imports it): left out`,
});
const NOTES = [
  costsNothing('acme/cached-for-nothing', 'cached input'),
  costsNothing('acme/free-output', 'output'),
  costsNothing('acme/free-input', 'input'),
];
/** What includeFree changes: it gives acme/by-query a blended price of 0, too. */
const CHANGED_BY_FREE = NOTES.length + 1;
const FREE = ['acme/free', 'acme/free-embedding'];

describe('POST /pricing/import of the map', () => {
  let before: string;
  beforeAll(async () => {
    await changingNothing(async () => {
      const answer = await imported(PRICE_MAP, '?dryRun=true');
      expect(answer.created).toBe(IMPORTED.length);
    });
    before = JSON.stringify(await imported(PRICE_MAP, '?dryRun=true'));
  });

  it('200: makes a rule for every model with a plain price, and says of each other why not', async () => {
    const answer = await imported(PRICE_MAP);
    expect(JSON.stringify(answer), 'as the dry run has said').toBe(before);
    expect(Object.fromEntries(answer.skipped.map(({ modelId, reason }) => [modelId, reason]))).toEqual(
      SKIPPED,
    );
    expect(answer).toMatchObject({ created: IMPORTED.length, closed: 0, unchanged: 0, notes: NOTES });
    expect(answer.skipped).toHaveLength(Object.keys(SKIPPED).length);
    const rules = await service.owner.query<{ model: string; start: string; creator: string }>(
      `SELECT model_id AS model, effective_from::text AS start, created_by AS creator FROM pricing_rules
        WHERE model_id LIKE 'acme/%'`,
    );
    expect(rules.rows.map(({ model }) => model).sort()).toEqual([...IMPORTED].sort());
    expect(new Set(rules.rows.map(({ start }) => start)).size, 'one instant').toBe(1);
    expect(new Set(rules.rows.map(({ creator }) => creator))).toEqual(new Set(['root']));
  });

  it('keeps every digit of prices and costs, by class, the blended one the higher', async () => {
    expect(await currentOf('acme/every-decimal')).toMatchObject({
      pricePerThousandTokens: '0.70000999999999999',
      pricePerThousandInputTokens: '0.30001999999999996',
      pricePerThousandOutputTokens: '0.70000999999999999',
      pricePerThousandCachedInputTokens: '0.00000000000000001',
      providerCostPerThousandTokens: '0.00070000999999999999',
      providerCostPerThousandInputTokens: '0.00030001999999999996',
      providerCostPerThousandOutputTokens: '0.00070000999999999999',
      providerCostPerThousandCachedInputTokens: '0.00000000000000000001',
    });
    expect(await currentOf('acme/chat')).toMatchObject({
      pricePerThousandTokens: '0.6',
      pricePerThousandInputTokens: '0.15',
      pricePerThousandCachedInputTokens: '0.075',
      providerCostPerThousandTokens: '0.0006',
      providerCostPerThousandCachedInputTokens: '0.000075',
    });
    // Input is the dearer class here.
    expect(await currentOf('acme/completion')).toMatchObject({
      pricePerThousandTokens: '3',
      pricePerThousandOutputTokens: '1',
      providerCostPerThousandTokens: '0.003',
    });
  });

  it('leaves what the map does not say, and a doubtful 0 for cached input, to the class above', async () => {
    expect(await currentOf('acme/embedding-one-price')).toMatchObject({
      pricePerThousandTokens: '0.02',
      pricePerThousandOutputTokens: null,
      providerCostPerThousandOutputTokens: null,
    });
    expect(await currentOf('acme/embedding')).toMatchObject({ pricePerThousandOutputTokens: '0' });
    expect(await currentOf('acme/cached-for-nothing')).toMatchObject({
      pricePerThousandCachedInputTokens: null,
      providerCostPerThousandCachedInputTokens: null,
    });
  });

  it('changes nothing the second time', async () => {
    await changingNothing(async () => {
      const again = await imported(PRICE_MAP);
      expect(again).toMatchObject({ created: 0, closed: 0, unchanged: IMPORTED.length, notes: NOTES });
      expect(again.skipped).toHaveLength(Object.keys(SKIPPED).length);
      // The same prices in other words.
      const other = mapOf('acme/responses', '0.0000020', '1000e-8');
      expect(await imported(other)).toMatchObject({ created: 0, unchanged: 1 });
    });
  });

  it('imports prices of 0 only when asked, but not of what is charged otherwise', async () => {
    const answer = await imported(PRICE_MAP, '?includeFree=true');
    expect(answer).toMatchObject({
      created: FREE.length + CHANGED_BY_FREE,
      closed: CHANGED_BY_FREE,
      unchanged: IMPORTED.length - CHANGED_BY_FREE,
      notes: [],
    });
    const reasons = Object.fromEntries(answer.skipped.map(({ modelId, reason }) => [modelId, reason]));
    const { ...expected } = SKIPPED;
    for (const modelId of FREE) delete expected[modelId];
    expect(reasons).toEqual(expected);
    expect(await currentOf('acme/free')).toMatchObject({
      pricePerThousandTokens: '0',
      providerCostPerThousandTokens: '0',
    });
    expect(await currentOf('acme/free-output')).toMatchObject({
      pricePerThousandTokens: '1',
      pricePerThousandOutputTokens: '0',
    });
    expect(await currentOf('acme/cached-for-nothing')).toMatchObject({
      pricePerThousandCachedInputTokens: '0',
    });
  });
});

describe('a class without a price above 0', () => {
  const output = { output_cost_per_token: 8e-6 };
  it.each<[string, object, object, string]>([
    [
      'input is free where it is charged by the second of video',
      { input_cost_per_video_per_second: 0.0005, ...output },
      { input: 1000, video_input_seconds: 2 },
      '0.001',
    ],
    [
      'input is free where it is charged by the request',
      { input_cost_per_token: 0, input_cost_per_request: 0.005, ...output },
      { input: 1000, output: 1000, requests: 1 },
      '0.013',
    ],
    [
      'input is free where it is charged by the query',
      { mode: 'rerank', input_cost_per_token: 0, output_cost_per_token: 0, input_cost_per_query: 0.002 },
      { input: 1000, queries: 3 },
      '0.006',
    ],
    [
      'output is free of what answers with a decision',
      { mode: 'evaluation', input_cost_per_token: 1e-6, output_cost_per_token: 0 },
      { input: 1000, output: 1000 },
      '0.001',
    ],
    [
      'cached input of Fireworks costs half of input',
      { litellm_provider: 'fireworks_ai', input_cost_per_token: 1e-6, ...output },
      { input: 1000, cached_input: 1000 },
      '0.0015',
    ],
    [
      'cached input of Fireworks costs what the file says',
      {
        ...{ litellm_provider: 'fireworks_ai', input_cost_per_token: 1e-6 },
        ...{ cache_read_input_token_cost: 3e-7, ...output },
      },
      { input: 1000, cached_input: 1000 },
      '0.0013',
    ],
    [
      'cached input of others costs what input does',
      { litellm_provider: 'acme', input_cost_per_token: 1e-6, ...output },
      { input: 1000, cached_input: 1000 },
      '0.002',
    ],
  ])('%s', async (_, entry, quantities, providerCostUsd) => {
    const modelId = freshModel();
    await imported({ [modelId]: { mode: 'chat', ...entry } });
    const { body } = await root.post('/api/credits/calculate', { modelId, quantities });
    expect(body).toMatchObject({ providerCostUsd, pricedAs: modelId });
  });
});

it('skips a model that has a price for priority only: others would cost nothing', async () => {
  const modelId = freshModel();
  const entry = { input_cost_per_token_priority: 2e-6, output_cost_per_token_priority: 2e-6 };
  expect((await imported({ [modelId]: { mode: 'chat', ...entry } })).skipped).toEqual([
    { modelId, reason: 'has prices for other service tiers only' },
  ]);
});

it('names prices by the time of day, which it does not import', async () => {
  const modelId = freshModel();
  const entry = {
    input_cost_per_token: 2e-6,
    off_peak_pricing: { hours_utc: '16:30-00:30', input_cost_per_token: 1e-6 },
  };
  expect((await imported({ [modelId]: entry })).notes).toEqual([
    { modelId, note: 'has a price that is not imported: off_peak_pricing' },
  ]);
});

describe('the terms of an import', () => {
  it('multiply exactly: markup and creditsPerUsd change the price and not the cost', async () => {
    const modelId = freshModel();
    const map = mapOf(modelId, '3.0001999999999996e-07', '0.00000000000000000000003');
    await imported(map, '?markup=1.234567890123456789&creditsPerUsd=7');
    expect(await currentOf(modelId)).toMatchObject({
      pricePerThousandInputTokens: '0.00259276540876387619517145076543209908',
      pricePerThousandOutputTokens: '0.00000000000000000025925925692592592569',
      providerCostPerThousandInputTokens: '0.00030001999999999996',
      providerCostPerThousandOutputTokens: '0.00000000000000000003',
    });
  });

  it('default to CREDITS_PER_USD and no markup', async () => {
    const other = await service.another({ CREDITS_PER_USD: '250' });
    const modelId = freshModel();
    await imported(mapOf(modelId, '1e-6', '4e-6'), '', other.as('root', { role: 'admin' }));
    await other.close();
    expect(await currentOf(modelId)).toMatchObject({
      pricePerThousandTokens: '1',
      pricePerThousandInputTokens: '0.25',
      providerCostPerThousandTokens: '0.004',
    });
  });

  it('skip a model whose price would be more than a rule can hold', async () => {
    const answer = await imported(mapOf(freshModel(), '0.0006'), '?markup=100&creditsPerUsd=1000000');
    expect(answer).toMatchObject({
      created: 0,
      skipped: [{ reason: 'would cost more than 1000000 credits per 1,000 tokens' }],
    });
  });

  it.each([
    ['price', `0.0000001${'1'.repeat(45)}`, '?markup=1.234567890123456789'],
    ['cost', '1e-59', ''],
  ])('skip a model whose %s has more digits than are read', async (_, usd, query) => {
    const [fine, modelId] = [freshModel(), freshModel()];
    const map = `${mapOf(fine, '1e-6').slice(0, -1)},${mapOf(modelId, '1e-6', usd).slice(1)}`;
    expect(await imported(map, query)).toMatchObject({
      created: 1,
      skipped: [{ modelId, reason: 'has a price of more digits than are read' }],
    });
    expect(await currentOf(modelId)).toBeNull();
  });

  it.each<[string, object]>([
    ['more than a bigint', { input_cost_per_token_above_99999999999999999k_tokens: 1e-6 }],
    ['more than a double', { [`input_cost_per_token_above_${'9'.repeat(400)}k_tokens`]: 1e-6 }],
    ['more than a call has', { input_cost_per_token_above_1000001k_tokens: 1e-6 }],
    ['less than 0', { litellm_provider: 'xai', input_cost_per_token_above_0k_tokens: 1e-6 }],
    ['a range of more', { tiered_pricing: [{ range: [1_000_000_001, 2e9], input_cost_per_token: 1e-6 }] }],
  ])('skip a model with a threshold that no prompt can have: %s', async (_, more) => {
    const modelId = freshModel();
    const entry = { mode: 'chat', input_cost_per_token: 1e-6, output_cost_per_token: 2e-6, ...more };
    expect(await imported({ [modelId]: entry })).toMatchObject({
      created: 0,
      skipped: [
        { modelId, reason: expect.stringMatching(/^\w+ is for prompts that no call has$/) as string },
      ],
    });
  });

  it.each<[string, object[]]>([
    ['a range of an object', [{ range: [{ toString: 1 }, 1], input_cost_per_token: 1e-6 }]],
    [
      'more prices than a rule may have',
      Array.from({ length: 100 }, (_, index) => ({ range: [index, index + 1], input_cost_per_token: 1e-6 })),
    ],
  ])('skip a model with %s', async (_, ranges) => {
    const modelId = freshModel();
    const entry = { mode: 'chat', input_cost_per_token: 1e-6, tiered_pricing: ranges };
    expect(await imported({ [modelId]: entry })).toMatchObject({ created: 0, skipped: [{ modelId }] });
  });

  const NAMES = ['a/chat', 'a/b/chat', 'A/chat', 'a.chat', 'b/cat', 'a/b*', 'a+(chat|cat)', '日本/モデル'];
  it.each([
    ['a/chat', ['a/chat']],
    ['*', NAMES],
    ['a/*', ['a/chat', 'a/b/chat', 'a/b*']],
    ['a?chat', ['a/chat', 'a.chat']],
    ['*/c?at', ['a/chat', 'a/b/chat', 'A/chat']],
    ['*c*t', ['a/chat', 'a/b/chat', 'A/chat', 'a.chat', 'b/cat']],
    ['?/*h??', ['a/chat', 'a/b/chat', 'A/chat']],
    ['**a**c**t**', ['a/chat', 'a/b/chat', 'a.chat', 'a+(chat|cat)']],
    ['b/cat, A/*', ['A/chat', 'b/cat']],
    ['a/chat,*/chat,a/chat', ['a/chat', 'a/b/chat', 'A/chat']],
    ['a/b*', ['a/b/chat', 'a/b*']],
    ['??/???', ['日本/モデル']],
    ['a', []],
    ['a/chat?', []],
    ['a/chat/*', []],
    ['.*', []],
    ['a+(chat|cat)', ['a+(chat|cat)']],
    [`${'*a'.repeat(240)}*`, []],
  ])('models=%s is about exactly what matches', async (models, expected) => {
    // Without a price each of them is named in the answer, when it is asked for.
    const map = Object.fromEntries(NAMES.map((name) => [name, { mode: 'chat' }]));
    const answer = await imported(map, `?models=${encodeURIComponent(models)}`);
    expect(answer.skipped.map(({ modelId }) => modelId)).toEqual(expected);
    expect(answer).toMatchObject({ created: 0, unchanged: 0 });
  });

  it('match in a moment also where going back and forth could take for ever', async () => {
    const map = Object.fromEntries(
      Array.from({ length: 2000 }, (_, index) => [`${'a'.repeat(90)}${index}`, { mode: 'chat' }]),
    );
    const begin = performance.now();
    const models = encodeURIComponent(`${'*a'.repeat(200)}*b`);
    expect((await imported(map, `?models=${models}`)).skipped).toEqual([]);
    expect(performance.now() - begin).toBeLessThan(20_000);
  });
});

describe('a number of the map', () => {
  it.each([
    ['1.5e-07', '0.15'],
    ['1.5E-07', '0.15'],
    ['15e-8', '0.15'],
    ['0.00000015', '0.15'],
    ['0.000000150000000000000000000000', '0.15'],
    ['150e-09', '0.15'],
    ['0.000000000000000000000015e+16', '0.15'],
    ['0.00000000000000000000001', '0.00000000000000001'],
    ['2.9999900000000002e-06', '2.9999900000000002'],
    ['1e-3', '1000'],
    // Digits that a double would lose.
    ['0.00012345678901234567890123', '123.45678901234567890123'],
  ])('%s USD a token is %s credits per 1,000', async (written, price) => {
    const modelId = freshModel();
    expect(await imported(mapOf(modelId, written))).toMatchObject({ created: 1 });
    expect(await currentOf(modelId)).toMatchObject({
      pricePerThousandTokens: price,
      pricePerThousandInputTokens: price,
      pricePerThousandOutputTokens: price,
    });
  });
});

describe('a changed price', () => {
  it('ends the old rules and opens the new ones at one instant, and leaves the others alone', async () => {
    const [one, two, same] = [freshModel(), freshModel(), freshModel()];
    const all = (cost: string) =>
      `[${[one, two].map((id) => mapOf(id, cost)).join()},${mapOf(same, '1e-6')}]`;
    const joined = (cost: string) =>
      JSON.stringify(Object.assign({}, ...(JSON.parse(all(cost)) as object[])) as object);
    await imported(joined('1e-6'));
    const kept = await currentOf(same);
    const answer = await imported(joined('2e-6'));
    expect(answer).toMatchObject({ created: 2, closed: 2, unchanged: 1, skipped: [] });
    const [first, second] = [await pricingOf(one), await pricingOf(two)];
    for (const { current, history } of [first, second]) {
      expect(current).toMatchObject({ pricePerThousandTokens: '2', effectiveTo: null });
      expect(history).toMatchObject([
        { pricePerThousandTokens: '1', effectiveTo: first.current?.effectiveFrom },
      ]);
    }
    expect(first.current?.effectiveFrom).toBe(second.current?.effectiveFrom);
    expect(await currentOf(same)).toEqual(kept);
    const { rows } = await service.owner.query<{ superseded: string }>(
      'SELECT superseded_by AS superseded FROM pricing_rules WHERE id = $1',
      [first.history[0]?.id],
    );
    expect(rows[0]?.superseded, 'by whom it was ended').toBe(String(first.current?.id));
  });

  it('is any change: of one class, of the provider’s cost, or of a price once set by hand', async () => {
    const modelId = freshModel();
    await imported(mapOf(modelId, '1e-6', '2e-6'));
    for (const [map, query] of [
      [mapOf(modelId, '1.1e-6', '2e-6'), ''],
      [mapOf(modelId, '1.1e-6', '2e-6').replace('}}', ',"cache_read_input_token_cost":1e-7}}'), ''],
      [mapOf(modelId, '1.1e-6', '2e-6'), ''],
      // The same prices from another cost.
      [mapOf(modelId, '0.55e-6', '1e-6'), '?markup=2'],
    ] as const) {
      expect(await imported(map, query)).toMatchObject({ created: 1, closed: 1, unchanged: 0 });
    }
    expect((await createRule(modelId, '5')).status).toBe(201);
    expect(await imported(mapOf(modelId, '1e-6'))).toMatchObject({ created: 1, closed: 1 });
    await expectUnbroken(modelId);
  });

  it('applies until a rule to come begins, which takes over as planned', async () => {
    const [priced, unpriced] = [freshModel(), freshModel()];
    const inAnHour = new Date(Date.now() + HOUR).toISOString();
    const inTwoHours = new Date(Date.now() + 2 * HOUR).toISOString();
    await createRule(priced, '1');
    const upcoming: Rule[] = [];
    for (const modelId of [priced, unpriced]) {
      upcoming.push((await createRule(modelId, '7', { effectiveFrom: inAnHour })).body);
      upcoming.push((await createRule(modelId, '8', { effectiveFrom: inTwoHours })).body);
    }
    for (const modelId of [priced, unpriced]) {
      const closed = modelId === priced ? 1 : 0;
      expect(await imported(mapOf(modelId, '2e-6'))).toMatchObject({ created: 1, closed });
      const pricing = await pricingOf(modelId);
      expect(pricing.current).toMatchObject({ pricePerThousandTokens: '2', effectiveTo: inAnHour });
      expect(pricing.upcoming.map(({ pricePerThousandTokens: price }) => price)).toEqual(['7', '8']);
      await expectUnbroken(modelId);
      await changingNothing(async () => {
        expect(await imported(mapOf(modelId, '2e-6'))).toMatchObject({ created: 0, unchanged: 1 });
      });
    }
    // Without the planned rule the imported one goes on, not the one before it.
    await root.delete(`/api/pricing/${upcoming[0]?.id}`);
    const after = await pricingOf(priced);
    expect(after.current).toMatchObject({ pricePerThousandTokens: '2', effectiveTo: inTwoHours });
    await expectUnbroken(priced);
    await root.delete(`/api/pricing/${upcoming[1]?.id}`);
    expect(await currentOf(priced)).toMatchObject({ pricePerThousandTokens: '2', effectiveTo: null });
  });

  it('replaces a rule that has an end', async () => {
    const modelId = freshModel();
    await createRule(modelId, '1', { effectiveTo: new Date(Date.now() + HOUR).toISOString() });
    expect(await imported(mapOf(modelId, '2e-6'))).toMatchObject({ created: 1, closed: 1 });
    expect(await currentOf(modelId)).toMatchObject({ pricePerThousandTokens: '2', effectiveTo: null });
    await expectUnbroken(modelId);
  });

  it('does not touch sessions under way, and prices the next ones', async () => {
    const user = await userWithCredits(service, 100_000);
    const modelId = freshModel();
    await imported(mapOf(modelId, '1e-5', '3e-5'));
    expect((await initialize(user, 'before', { modelId })).body).toMatchObject({ estimatedCredits: 30 });
    await imported(mapOf(modelId, '1e-5', '5e-5'));
    expect((await initialize(user, 'after', { modelId })).body).toMatchObject({ estimatedCredits: 50 });
    const finalize = (sessionId: string) =>
      user.post('/api/streaming-sessions/finalize', { sessionId, inputTokens: 1000, outputTokens: 1000 });
    expect((await finalize('before')).body).toMatchObject({ actualCredits: 40 });
    expect((await finalize('after')).body).toMatchObject({ actualCredits: 60 });
    const quote = await user.post('/api/credits/calculate', { modelId, tokens: 1000 });
    expect(quote.body).toMatchObject({ credits: 50, pricingSource: 'rule', pricePerThousandTokens: '50' });
  });
});

describe('imports and changes at once', () => {
  const catalogue = (names: string[], cost: (index: number) => string) =>
    `{${names.map((name, index) => mapOf(name, cost(index)).slice(1, -1)).join()}}`;
  const models = (count: number) => Array.from({ length: count }, () => freshModel());

  it('two of the same make every rule once', async () => {
    const names = models(200);
    const second = await service.another();
    const map = catalogue(names, () => '1e-6');
    const twin = second.as('twin', { role: 'admin' });
    const answers = await Promise.all([root, twin, root, twin].map((on) => imported(map, '', on)));
    await second.close();
    expect(answers.map(({ created }) => created).sort((a, b) => a - b)).toEqual([0, 0, 0, 200]);
    expect(answers.map(({ unchanged }) => unchanged).sort((a, b) => a - b)).toEqual([0, 200, 200, 200]);
  });

  it('two of different prices follow one another: every model ends with the prices of one of them', async () => {
    const names = models(100);
    await imported(catalogue(names, () => '1e-6'));
    const answers = await Promise.all(
      // Each in another order of models.
      [2, 3, 4].map((price) =>
        imported(catalogue(price % 2 ? names : [...names].reverse(), () => `${price}e-6`)),
      ),
    );
    expect(answers.map(({ created, closed }) => [created, closed])).toEqual(Array(3).fill([100, 100]));
    const last = await Promise.all(names.map((name) => currentOf(name)));
    expect(new Set(last.map((rule) => rule?.pricePerThousandTokens)).size).toBe(1);
    expect(new Set(last.map((rule) => rule?.effectiveFrom)).size).toBe(1);
    for (const name of names.slice(0, 10)) await expectUnbroken(name);
  });

  it('changes of single models wait for the import and begin after it, and the other way round', async () => {
    const [modelId, other] = [freshModel(), freshModel()];
    const rule = (await createRule(other, '1')).body;
    // One instance lets one change at a time go to the database: these come from four.
    const instances = await Promise.all(Array.from({ length: 4 }, () => service.another()));
    const [a, b, c, d] = instances.map((on) => on.as('root', { role: 'admin' })) as [
      HttpClient,
      HttpClient,
      HttpClient,
      HttpClient,
    ];
    // One after the other they queue up behind a lock that a change of any model holds.
    const gate = `SELECT pg_advisory_xact_lock_shared(hashtextextended('pricing', 0))`;
    const [first, made, removed, last] = await holdUp<Answer<unknown>>(
      service,
      gate,
      [],
      [
        () =>
          send(
            catalogue([modelId, other], () => '2e-6'),
            '',
            a,
          ),
        () => b.post('/api/pricing', { modelId, pricePerThousandTokens: '3' }),
        () => c.delete(`/api/pricing/${rule.id}`),
        () =>
          send(
            catalogue([modelId, other], () => '4e-6'),
            '',
            d,
          ),
      ],
    );
    for (const instance of instances) await instance.close();
    expect(first).toMatchObject({ status: 200, body: { created: 2, closed: 1 } });
    expect(made?.status).toBe(201);
    expect(removed?.status, 'the import has ended it').toBe(409);
    expect(last).toMatchObject({ status: 200, body: { created: 2, closed: 2 } });
    const { current, history } = await pricingOf(modelId);
    expect(current).toMatchObject({ pricePerThousandTokens: '4', effectiveTo: null });
    expect(history.map(({ pricePerThousandTokens: price }) => price)).toEqual(['3', '2']);
    await expectUnbroken(modelId);
    await expectUnbroken(other);
  });

  it('any number of imports and changes leaves one price at every instant, and none fails', async () => {
    const names = models(5);
    const work = Array.from({ length: 8 }, (_, round) => [
      () => send(catalogue(names, (index) => `${round + index + 1}e-6`)),
      () => createRule(names[round % 5] as string, String(round + 100)),
      () => createRule(names[(round + 1) % 5] as string, String(round + 200)),
    ]).flat();
    const answers = await Promise.all(work.map((call) => call() as Promise<Answer<unknown>>));
    // Two single changes in one millisecond are a conflict; an import never is one.
    for (const [index, { status, text }] of answers.entries())
      expect(index % 3 === 0 ? [200] : [201, 409], text).toContain(status);
    for (const name of names) await expectUnbroken(name);
  });

  it('a rule that begins at this very moment stays, and the model is named', async () => {
    const modelId = freshModel();
    await createRule(modelId, '1', { effectiveFrom: new Date(Date.now() + HOUR).toISOString() });
    // Whatever the clock says when the import looks at it, this rule begins when the import's one rule would.
    await service.owner.query(
      `CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
         $$SELECT max(effective_from) - interval '2 milliseconds' FROM public.pricing_rules
            WHERE model_id = '${modelId}'$$`,
    );
    const { rows } = await service.owner.query<{ name: string }>('SELECT current_database() AS name');
    await service.owner.query(
      `ALTER ROLE accounting_app IN DATABASE ${rows[0]?.name} SET search_path = public, pg_catalog`,
    );
    const odd = await service.another();
    try {
      const answer = await imported(mapOf(modelId, '2e-6'), '', odd.as('root', { role: 'admin' }));
      expect(answer).toMatchObject({
        ...{ created: 0, closed: 0, unchanged: 0 },
        skipped: [{ modelId, reason: 'another rule begins at this moment: import again' }],
      });
    } finally {
      await odd.close();
      await service.owner.query('DROP FUNCTION public.clock_timestamp()');
    }
  });

  it('begin when they are committed, also when there are many to write', async () => {
    const names = models(2500);
    const begunAt = performance.now();
    const importing = imported(catalogue(names, () => '1e-6'));
    const seen = async () => {
      const { rows } = await service.owner.query<{ lag: number }>(
        `SELECT extract(epoch FROM clock_timestamp() - effective_from)::float8 AS lag FROM pricing_rules
          WHERE model_id = $1`,
        [names[0]],
      );
      return rows[0]?.lag;
    };
    let lag: number | undefined;
    while (lag === undefined) lag = await seen();
    await importing;
    expect(lag).toBeLessThan((performance.now() - begunAt) / 5000);
  });

  it('takes 3,000 models in one call, and again', async () => {
    const names = models(3000);
    const map = catalogue(names, (index) => `${index + 1}e-10`);
    expect(await imported(map)).toMatchObject({ created: 3000, unchanged: 0, skipped: [] });
    expect(await imported(map)).toMatchObject({ created: 0, unchanged: 3000, changes: [] });
    const answer = await imported(map, '?markup=1.1');
    expect(answer).toMatchObject({ created: 3000, closed: 3000 });
    // What a person can look through, and not all of it.
    expect(answer.changes).toHaveLength(500);
    expect(answer.changes.map(({ modelId }) => modelId)).toEqual([...names].sort().slice(0, 500));
  });

  it('gives the prices and costs of each rule before and after, also when it only tries', async () => {
    const [modelId = ''] = models(1);
    const priced = (input: string, output: string) =>
      expect.objectContaining({
        pricePerThousandTokens: output,
        pricePerThousandInputTokens: input,
        pricePerThousandOutputTokens: output,
      }) as object;
    const first = { modelId, before: null, after: priced('2', '10') };
    expect((await imported(mapOf(modelId, '2e-6', '1e-5'), '?dryRun=true')).changes).toEqual([first]);
    expect((await imported(mapOf(modelId, '2e-6', '1e-5'))).changes).toEqual([first]);
    const second = { modelId, before: first.after, after: priced('1.5', '8') };
    expect((await imported(mapOf(modelId, '1.5e-6', '8e-6'), '?dryRun=true')).changes).toEqual([second]);
    // What changes nothing for whole prompts is a change too.
    const cached = mapOf(modelId, '2e-6', '1e-5').replace('}}', ',"cache_read_input_token_cost":5e-7}}');
    expect((await imported(cached, '?dryRun=true')).changes).toEqual([
      {
        modelId,
        before: expect.objectContaining({ pricePerThousandCachedInputTokens: null }) as object,
        after: expect.objectContaining({
          pricePerThousandCachedInputTokens: '0.5',
          providerCostPerThousandCachedInputTokens: '0.0005',
        }) as object,
      },
    ]);
  });
});

describe('an import is refused and changes nothing', () => {
  const GOOD = mapOf('never/imported', '1e-6');

  it('401 and 403 for callers other than admins', async () => {
    await changingNothing(async () => {
      expectProblem(await service.anonymous().post(PATH, GOOD), 401);
      expectProblem(await service.internal().post(PATH, GOOD), 403, { message: 'Admin access required' });
    });
    for (const caller of [await userWithCredits(service), service.as('boss', { role: 'supervisor' })]) {
      await changingNothing(async () => {
        expectProblem(await caller.post(PATH, GOOD), 403, { message: 'Admin access required' });
        // Before the body is read: it is not even looked at.
        expectProblem(await caller.post(PATH, '{'), 403);
      });
    }
  });

  it.each([
    '{',
    '}',
    '',
    '{"a":}',
    "{'a':1}",
    '{"a":1,}',
    '{"a":NaN}',
    '{"a":01}',
    '{"a":.5}',
    '{"a":1}{}',
    '{"a":"\n"}',
    '{"a":"\\x"}',
    '[1,]',
  ])('400 for what is not JSON: %.20s', async (body) => {
    await changingNothing(async () => {
      expectProblem(await send(body), 400, { field: 'body' });
    });
  });

  it('400 for bytes that are no UTF-8, 415 for another encoding or type', async () => {
    await changingNothing(async () => {
      const headers = { authorization: tokenOf(root), 'content-type': 'application/json' };
      const bytes = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
      const answer = await fetch(service.url + PATH, { method: 'POST', headers, body: bytes });
      expect(answer.status).toBe(400);
      for (const type of [
        'text/plain',
        'application/json; charset=latin1',
        'multipart/form-data; boundary=x',
      ])
        expectProblem(await root.post(PATH, GOOD, { 'content-type': type }), 415);
    });
    expect(
      (await root.post(PATH, GOOD, { 'content-type': 'application/json; charset="UTF-8"' })).status,
    ).toBe(200);
  });

  const tokenOf = (client: HttpClient) =>
    (client as unknown as { headers: { authorization: string } }).headers.authorization;

  it.each(['[]', '[{}]', '"text"', 'null', '42', '1e-7', 'true'])(
    '400 for %s, which is no map',
    async (body) => {
      await changingNothing(async () => {
        const answer = await send(body);
        expectProblem(answer, 400, { code: 'validation.failed', field: 'body' });
      });
    },
  );

  it('400 for a model that stands there twice with different prices', async () => {
    const once = mapOf('twice/named', '1e-6').slice(1, -1);
    const other = mapOf('twice/named', '2e-6').slice(1, -1);
    await changingNothing(async () => {
      expectProblem(await send(`{${once},${other}}`), 400, { field: 'body' });
    });
    expect(await imported(`{${once},${once}}`, '?dryRun=true')).toMatchObject({ created: 1 });
  });

  it.each(['[', '{"a":'])(
    '400 for more than 32 %s in each other, also with an Idempotency-Key',
    async (one) => {
      const nested = (depth: number) =>
        `{"m":{"x":${one.repeat(depth)}1${(one === '[' ? ']' : '}').repeat(depth)}}}`;
      expect((await send(nested(31))).status).toBe(200);
      await changingNothing(async () => {
        for (const depth of [32, 3000, 200_000]) {
          const answers = [
            await send(nested(depth)),
            await root.post(PATH, nested(depth), { 'idempotency-key': `deep-${depth}` }),
          ];
          for (const answer of answers) expectProblem(answer, 400, { code: 'validation.failed', field: 'm' });
        }
      });
    },
  );

  it('400 for more than 10,000 models', async () => {
    const many = Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`m${index}`, 1]));
    await changingNothing(async () => expectProblem(await send(many), 400, { field: 'body' }));
    delete many.m0;
    expect((await imported(many)).skipped).toHaveLength(10_000);
  });

  it('413 above 10 MB, compressed or not; what is smaller is read', async () => {
    const padded = (length: number) => GOOD.replace(/}$/, `,"padding":"${'x'.repeat(length)}"}`);
    await changingNothing(async () => {
      expectProblem(await send(padded(10 * 1024 * 1024)), 413, { code: 'request.too_large', field: 'body' });
      const { gzipSync } = await import('node:zlib');
      const answer = await fetch(service.url + PATH, {
        method: 'POST',
        headers: {
          authorization: tokenOf(root),
          'content-type': 'application/json',
          'content-encoding': 'gzip',
        },
        body: new Uint8Array(gzipSync(padded(10 * 1024 * 1024))),
      });
      expect(answer.status).toBe(413);
    });
    expect(await imported(padded(9 * 1024 * 1024), '?dryRun=true')).toMatchObject({
      skipped: [{ modelId: 'padding' }],
    });
    // For this route alone.
    const other = JSON.stringify({ modelId: 'a', pricePerThousandTokens: '1', padding: 'x'.repeat(110_000) });
    expectProblem(await root.post('/api/pricing', other), 413);
  });

  it.each([
    ['markup', ['', '0', '0.000', '-1', '+1', '1e2', 'a', ' 1', '1,2', '.5', '100.1', '1000', '1&markup=2']],
    ['markup', ['0.1234567890123456789', 'NaN', 'Infinity', '1%00']],
    ['creditsPerUsd', ['', '0', '-1', '1.5', '1e3', 'a', '1000000001', '1&creditsPerUsd=2']],
    ['models', ['', ',', 'a,', 'a,,b', '%20', 'a%00', 'x'.repeat(501), 'a&models=b']],
    ['dryRun', ['', '1', 'yes', 'TRUE', 'true&dryRun=true']],
    ['includeFree', ['', '0', 'no', 'null']],
    ['surprise', ['1']],
    ['__proto__', ['1']],
  ])('400 names the parameter %s', async (field, values) => {
    await changingNothing(async () => {
      for (const value of values) {
        const answer = await send(GOOD, `?${field}=${value}`);
        expect(answer.status, `${field}=${value}: ${answer.text}`).toBe(400);
        expectProblem(answer, 400, { code: 'validation.failed', field });
      }
    });
  });

  it('503 when rules cannot be changed in time, with nothing half-done', async () => {
    const hurried = await service.another({ DB_STATEMENT_TIMEOUT_MS: '300' });
    const gate = await service.owner.connect();
    await gate.query(`BEGIN; SELECT pg_advisory_xact_lock_shared(hashtextextended('pricing', 0))`);
    const answer = await send(GOOD, '', hurried.as('root', { role: 'admin' }));
    await gate.query('ROLLBACK');
    gate.release();
    await hurried.close();
    expectProblem(answer, 503);
    expect(await currentOf('never/imported-here')).toBeNull();
  });

  it('never repeats the body in an answer of error or a log', async () => {
    const secret = 'prompt-of-a-user';
    const number = '4111111111111111';
    const bodies = [`{"${secret}":}`, `{"a":"${secret}`, `"${secret}"`, `{"a":{"mode":"${secret}!"}}`];
    for (const body of [...bodies, `{"${secret}":1,"${secret}":2}`, `{"a":${number}.}`, `{"a":-${number}e}`])
      expect((await send(body)).text).not.toMatch(new RegExp(`${secret}|${number}`));
    await send(`{"${secret}":1}`);
    expect(JSON.stringify(service.logs)).not.toMatch(new RegExp(`${secret}|${number}`));
  });
});

it('reads names that mean something to JavaScript as what they are: names', async () => {
  const prices = '{"mode":"chat","input_cost_per_token":1e-6,"output_cost_per_token":1e-6}';
  const names = ['constructor', 'toString', 'hasOwnProperty', '__proto__', '7'];
  const answer = await imported(`{${names.map((name) => `"${name}":${prices}`).join()}}`);
  expect(answer).toMatchObject({ created: names.length, skipped: [] });
  expect(await imported(`{"bare":{"__proto__":${prices}}}`)).toMatchObject({
    created: 0,
    skipped: [{ modelId: 'bare', reason: 'is not a model' }],
  });
});
