import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASS_NAMES, PRICE_CLASSES, SERVICE_TIERS } from '../../src/pricing/price-classes.js';
import type { HttpClient } from '../support/http-client.js';
import { balanceOf, expectSoundBooks, initialize, userWithCredits } from '../support/money.js';
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

const freshModel = () => freshUser('model');
const component = (name: string, price: string, more: object = {}) => ({ class: name, price, ...more });

async function modelWith(...components: object[]): Promise<string> {
  const modelId = freshModel();
  expect((await root.post('/api/pricing', { modelId, components })).status).toBe(201);
  return modelId;
}

const calculate = (body: object) =>
  root.post<{ credits: number; classes: object[] }>('/api/credits/calculate', body);
async function creditsOf(body: object): Promise<number> {
  const answer = await calculate(body);
  expect(answer.status, answer.text).toBe(200);
  return answer.body.credits;
}

it('the classes of the API are those of the database, and tokens are those that fall back to tokens', async () => {
  const { rows } = await service.owner.query<{ name: string; classes: string[] | null }>(
    'SELECT name, price_classes(name) AS classes FROM unnest($1::text[]) name',
    [[...CLASS_NAMES, 'none']],
  );
  for (const { name, classes } of rows) {
    expect(classes?.[0] ?? 'none').toBe(name);
    if (name !== 'none')
      expect(classes?.includes('tokens')).toBe(
        PRICE_CLASSES[name as keyof typeof PRICE_CLASSES] === 'token' && name !== 'citation',
      );
  }
});

describe('POST /credits/calculate', () => {
  it('prices each class by its own component, and rounds once', async () => {
    const modelId = await modelWith(
      component('input', '0.003', { providerCostUsd: '0.000003' }),
      component('cached_input', '0.0003', { providerCostUsd: '0.0000003' }),
      component('cache_write_1h', '0.006', { providerCostUsd: '0.000006' }),
      component('output', '0.015', { providerCostUsd: '0.000015' }),
    );
    const answer = await calculate({
      modelId,
      provider: 'anthropic',
      usage: {
        input_tokens: 2048,
        cache_read_input_tokens: 1800,
        cache_creation_input_tokens: 100,
        cache_creation: { ephemeral_1h_input_tokens: 100 },
        output_tokens: 503,
      },
    });
    // 6.144 + 0.54 + 0.6 + 7.545
    expect(answer.body).toMatchObject({ credits: 15, providerCostUsd: '0.014829', pricedAs: modelId });
    expect(answer.body.classes).toContainEqual({
      ...{ class: 'cache_write_1h', quantity: 100, pricedAs: 'cache_write_1h' },
      ...{ price: '0.006', credits: '0.6', providerCostUsd: '0.0006' },
    });
  });

  it('takes the price of the service tier where there is one, and the standard one elsewhere', async () => {
    const modelId = await modelWith(
      component('input', '0.1'),
      component('output', '1'),
      component('output', '2', { serviceTier: 'priority' }),
    );
    const quantities = { input: 100, output: 100 };
    expect(await creditsOf({ modelId, quantities })).toBe(110);
    expect(await creditsOf({ modelId, quantities, serviceTier: 'priority' })).toBe(210);
    expect(await creditsOf({ modelId, quantities, serviceTier: 'flex' })).toBe(110);
  });

  it('takes the price above a threshold by the whole prompt of the call, of every input class', async () => {
    const modelId = await modelWith(
      component('input', '0.001'),
      component('input', '0.002', { contextAbove: 200_000 }),
      component('input', '0.003', { contextAbove: 400_000 }),
      component('cached_input', '0'),
      component('output', '0.01'),
      component('output', '0.1', { contextAbove: 200_000 }),
    );
    const quantities = (input: number, cached: number) => ({ input, cached_input: cached, output: 1000 });
    expect(await creditsOf({ modelId, quantities: quantities(1000, 199_000) })).toBe(1 + 10);
    expect(await creditsOf({ modelId, quantities: quantities(1000, 199_001) })).toBe(2 + 100);
    expect(await creditsOf({ modelId, quantities: quantities(1000, 400_000) })).toBe(3 + 100);
  });

  it('takes no price above a threshold that the prompt does not exceed, though there is no other of its class', async () => {
    const modelId = await modelWith(
      component('input', '0.01'),
      component('cache_write_5m', '1', { contextAbove: 1000 }),
      component('output', '0.01'),
      component('output', '5', { contextAbove: 1000, serviceTier: 'priority' }),
      component('output', '6', { contextAbove: 2000, serviceTier: 'priority' }),
      component('images', '1', { contextAbove: 1000 }),
    );
    const cost = (quantities: object) => creditsOf({ modelId, quantities, serviceTier: 'priority' });
    expect(await cost({ cache_write_5m: 1000 })).toBe(10);
    expect(await cost({ cache_write_5m: 1001 })).toBe(1001);
    expect(await cost({ input: 1000, output: 1000 })).toBe(20);
    expect(await cost({ input: 1100, output: 1000 })).toBe(5011);
    expect(await cost({ input: 2100, output: 1000 })).toBe(6021);
    expect(await cost({ images: 3 })).toBe(0);
  });

  it('takes null for what is left out', async () => {
    const nothing = { quantities: null, provider: null, usage: null, serviceTier: null, images: null };
    expect(await creditsOf({ modelId: 'm', tokens: 1000, ...nothing })).toBe(1);
  });

  it.each([
    ['reasoning', { output: '0.01', tokens: '1' }, 10, ['output']],
    ['cache_write_1h', { input: '0.02', tokens: '1' }, 20, ['input']],
    ['cache_write_1h', { cache_write_5m: '0.03', input: '0.02' }, 30, ['cache_write_5m']],
    ['cached_audio_input', { input: '0.02' }, 20, ['input']],
    ['search_high', { tokens: '1' }, 0, [null]],
    ['input', { tokens: '0.005' }, 5, ['tokens']],
  ])('a class without a price takes the stated one: %s of %o', async (name, prices, credits, pricedAs) => {
    const modelId = await modelWith(...Object.entries(prices).map(([each, price]) => component(each, price)));
    const answer = await calculate({ modelId, quantities: { [name]: 1000 } });
    expect(answer.body).toMatchObject({
      credits,
      classes: pricedAs.map((each) => ({ class: name, pricedAs: each })),
    });
  });

  it('counts images, seconds and searches beside the tokens', async () => {
    const modelId = await modelWith(
      component('input', '0.001'),
      component('output', '0.001'),
      component('images', '40'),
      component('seconds', '2'),
      component('search_low', '5'),
      component('search_high', '9'),
    );
    const tokens = { modelId, inputTokens: 1000, outputTokens: 0 };
    expect(await creditsOf({ ...tokens, images: 2, seconds: 3 })).toBe(1 + 80 + 6);
    expect(await creditsOf({ ...tokens, searchContextSize: 'high' })).toBe(1 + 9);
    const usage = { input_tokens: 1000, output_tokens: 0, server_tool_use: { web_search_requests: 3 } };
    expect(await creditsOf({ modelId, provider: 'anthropic', usage, searchContextSize: 'low' })).toBe(1 + 15);
  });

  it.each<[string, object, string]>([
    ['an unknown class', { quantities: { inputs: 1 } }, 'quantities'],
    ['a negative count', { quantities: { input: -1 } }, 'quantities'],
    ['a fraction', { quantities: { input: 1.5 } }, 'quantities'],
    ['no class', { quantities: {} }, 'quantities'],
    ['quantities beside tokens', { quantities: { input: 1 }, tokens: 1 }, 'quantities'],
    [
      'quantities beside usage',
      { quantities: { input: 1 }, provider: 'openai', usage: { prompt_tokens: 1 } },
      'quantities',
    ],
    ['usage without a provider', { usage: { prompt_tokens: 1 } }, 'usage'],
    ['a provider without usage', { provider: 'openai' }, 'provider'],
    ['an unknown provider', { provider: 'acme', usage: { prompt_tokens: 1 } }, 'provider'],
    ['usage of another provider', { provider: 'gemini', usage: { prompt_tokens: 1 } }, 'usage'],
    ['usage of too many tokens', { provider: 'openai', usage: { prompt_tokens: 1e9 + 1 } }, 'usage'],
    [
      'a size of searches that are counted',
      { quantities: { search_low: 1 }, searchContextSize: 'high' },
      'searchContextSize',
    ],
    ['images twice', { quantities: { images: 1 }, images: 1 }, 'images'],
    ['an unknown tier', { tokens: 1, serviceTier: 'fast' }, 'serviceTier'],
  ])('400 that names the field: %s', async (_, body, field) => {
    expectProblem(await calculate({ modelId: 'm', ...body }), 400, { field });
  });
});

/** Classes whose tokens are in the size of the prompt, and those whose are not. */
const INPUTS = [
  'input',
  'cached_input',
  'cache_write_5m',
  'cache_write_1h',
  'audio_input',
  'image_input',
] as const;
const OUTPUTS = ['output', 'reasoning', 'audio_output', 'image_output'] as const;

it('tokens split among classes never cost less than in the cheapest class, nor more than in the dearest', async () => {
  // In 10,000ths of a credit, so that sums are whole numbers.
  const price = fc.record({
    class: fc.constantFrom('tokens', ...INPUTS, ...OUTPUTS),
    serviceTier: fc.constantFrom(...SERVICE_TIERS),
    contextAbove: fc.constantFrom(0, 500, 900),
    price: fc.nat(20_000).map((tenThousandths) => String(tenThousandths / 10_000)),
  });
  const prices = fc.uniqueArray(price, {
    minLength: 1,
    maxLength: 30,
    selector: (each) => `${each.class} ${each.serviceTier} ${each.contextAbove}`,
  });
  const counts = (classes: readonly string[]) =>
    fc.array(fc.nat(300), { minLength: classes.length, maxLength: classes.length });
  const split = (classes: readonly string[], sizes: number[]) =>
    Object.fromEntries(classes.map((name, index) => [name, sizes[index] ?? 0]));
  const exact = async (modelId: string, serviceTier: string, quantities: object) => {
    const { body } = await calculate({ modelId, serviceTier, quantities });
    const classes = body.classes as { credits: string | null }[];
    return classes.reduce((sum, { credits }) => sum + Math.round(Number(credits) * 10_000), 0);
  };
  await fc.assert(
    fc.asyncProperty(
      prices,
      fc.constantFrom(...SERVICE_TIERS),
      counts(INPUTS),
      counts(OUTPUTS),
      async (components, tier, inputSizes, outputSizes) => {
        const modelId = await modelWith(...components);
        const cost = await exact(modelId, tier, {
          ...split(INPUTS, inputSizes),
          ...split(OUTPUTS, outputSizes),
        });
        // The prompt has the same size in all of them, and so the same prices.
        const [input, output] = [inputSizes, outputSizes].map((sizes) =>
          sizes.reduce((sum, each) => sum + each, 0),
        );
        const inputs = await Promise.all(INPUTS.map((name) => exact(modelId, tier, { [name]: input })));
        const outputs = await Promise.all(
          OUTPUTS.map(
            async (name) => (await exact(modelId, tier, { input, [name]: output })) - (inputs[0] as number),
          ),
        );
        expect(cost).toBeGreaterThanOrEqual(Math.min(...inputs) + Math.min(...outputs));
        expect(cost).toBeLessThanOrEqual(Math.max(...inputs) + Math.max(...outputs));
      },
    ),
    { numRuns: 60 },
  );
});

it('400 for a call that would cost more than JSON can say', async () => {
  const modelId = await modelWith(component('images', '1000000'), component('pages', '1000000'));
  expect(await creditsOf({ modelId, quantities: { images: 1_000_000_000 } })).toBe(1e15);
  const answer = await calculate({ modelId, quantities: { images: 1_000_000_000, pages: 1 } });
  expectProblem(answer, 400, { field: 'quantities' });
});

/** As the database keeps it, past what the API takes. */
async function modelKept(...input: object[]): Promise<string> {
  const modelId = freshModel();
  await root.get('/api/credits/balance');
  await service.owner.query(
    `INSERT INTO pricing_rules (model_id, components, created_by) VALUES ($1, $2, 'root')`,
    [modelId, JSON.stringify({ 'input standard': input.map((each) => ({ class: 'input', ...each })) })],
  );
  return modelId;
}

it('a threshold of any size that a rule has breaks no price', async () => {
  const modelId = await modelKept(
    { above: 1e22, price: '9', cost: null },
    { above: 0, price: '0.1', cost: null },
  );
  expect(await creditsOf({ modelId, quantities: { input: 100 } })).toBe(10);
});

it('a price of any length that a rule has can be read', async () => {
  const price = `0.${'1'.repeat(80)}`;
  const answer = await root.get(`/api/pricing/${await modelKept({ above: 0, price, cost: price })}`);
  expect(answer.body).toMatchObject({ current: { pricePerThousandInputTokens: `111.${'1'.repeat(77)}` } });
});

describe('POST /pricing with components', () => {
  it.each<[string, object[], string]>([
    ['a class twice', [component('input', '1'), component('input', '2')], 'components'],
    ['a token for more than 1,000', [component('input', '1000.1')], 'components.0.price'],
    ['an unknown class', [component('inputs', '1')], 'components.0.class'],
    ['no price', [{ class: 'input' }], 'components.0.price'],
    ['an empty list, which counts as none', [], 'pricePerThousandTokens'],
  ])('400 that names the field: %s', async (_, components, field) => {
    expectProblem(await root.post('/api/pricing', { modelId: freshModel(), components }), 400, { field });
  });

  it.each(['-1', '1000001', 'NaN', '', '1e3', null, 5])(
    'the database takes no price of %j',
    async (price) => {
      const components = { 'input standard': [{ class: 'input', above: 0, price, cost: null }] };
      await expect(
        service.owner.query(
          `INSERT INTO pricing_rules (model_id, components, created_by) VALUES ($1, $2, 'root')`,
          [freshModel(), JSON.stringify(components)],
        ),
      ).rejects.toThrow('ck_pricing_rules_prices');
    },
  );
});

describe('the rule of a model without one of its own', () => {
  it('is that of the longest prefix, then of an alias, then of the id without its provider, then the fallback', async () => {
    const name = freshModel();
    const priced = (modelId: string, price: string) =>
      root.post('/api/pricing', { modelId, pricePerThousandTokens: price });
    const pricedAs = async (modelId: string) => {
      const { body } = await calculate({ modelId, tokens: 1000 });
      return [(body as unknown as { pricedAs: string }).pricedAs, body.credits];
    };
    expect(await pricedAs(`${name}-x`)).toEqual(['*', 1]);
    await root.post('/api/pricing/import', {
      [`acme/${name}-other`]: {
        litellm_provider: 'acme',
        input_cost_per_token: 1e-6,
        output_cost_per_token: 1e-6,
      },
    });
    await priced(`${name}-x`, '5');
    expect(await pricedAs(`acme/${name}-x`)).toEqual([`${name}-x`, 5]);
    expect(await pricedAs(`unknown/${name}-x`)).toEqual(['*', 1]);
    const alias = await root.post<{ id: number }>('/api/pricing/aliases', {
      alias: `acme/${name}-x`,
      modelId: `acme/${name}-other`,
    });
    expect(await pricedAs(`acme/${name}-x`)).toEqual([`acme/${name}-other`, 1]);
    await priced(`acme/${name}*`, '7');
    await priced(`acme/${name}-x*`, '8');
    expect(await pricedAs(`acme/${name}-x`)).toEqual([`acme/${name}-x*`, 8]);
    await priced(`acme/${name}-x`, '9');
    expect(await pricedAs(`acme/${name}-x`)).toEqual([`acme/${name}-x`, 9]);
    expect((await root.delete(`/api/pricing/aliases/${alias.body.id}`)).status).toBe(204);
    expectProblem(await root.delete(`/api/pricing/aliases/${alias.body.id}`), 404, {
      code: 'pricing.alias_not_found',
    });
  });

  it('409 for a second alias of one name; the list has those that are left', async () => {
    const alias = freshModel();
    expect((await root.post('/api/pricing/aliases', { alias, modelId: 'a' })).status).toBe(201);
    expectProblem(await root.post('/api/pricing/aliases', { alias, modelId: 'b' }), 409, {
      code: 'pricing.alias_exists',
      field: 'alias',
    });
    const { body } = await root.get<{ items: { alias: string }[] }>('/api/pricing/aliases?limit=200');
    expect(body.items.map((item) => item.alias)).toContain(alias);
  });

  it('409 for the deletion of a built-in rule', async () => {
    const { body } = await root.get<{ items: { id: number; source: string }[] }>('/api/pricing');
    const builtIn = body.items.find(({ source }) => source === 'fallback');
    expectProblem(await root.delete(`/api/pricing/${builtIn?.id}`), 409, { code: 'pricing.rule_built_in' });
  });
});

describe('a total that the classes of the usage do not explain', () => {
  const usage = { prompt_tokens: 600, completion_tokens: 100, total_tokens: 1000 };
  const prices = [component('tokens', '0.1'), component('input', '0.1'), component('output', '0.1')];

  it('is charged for what they explain, and the rest waits for a review', async () => {
    const modelId = await modelWith(...prices);
    const user = service.as((await userWithCredits(service, 1000)).userId);
    const { body } = await user.post('/api/usage/charge', {
      requestId: 'r',
      modelId,
      provider: 'openai',
      usage,
    });
    expect(body).toMatchObject({
      totalCredits: 930,
      record: {
        ...{ credits: 100, uncollectedCredits: 30, billingStatus: 'needs_review' },
        quantities: { input: 600, output: 100, tokens: 300 },
      },
    });
  });

  it.each<[string, object, object]>([
    ['classes exceed the total', { prompt_tokens: 600, total_tokens: 500 }, { tokens: 600 }],
    [
      'a part exceeds its whole',
      { prompt_tokens: 600, prompt_tokens_details: { cached_tokens: 700 } },
      { tokens: 600 },
    ],
  ])(
    'is all that is doubtful where %s, and no finished call is refused',
    async (_, contradiction, quantities) => {
      const modelId = await modelWith(...prices);
      const user = service.as((await userWithCredits(service, 1000)).userId);
      const call = { provider: 'openai', usage: contradiction };
      const charged = await user.post('/api/usage/charge', { requestId: 'r', modelId, ...call });
      expect(charged.body).toMatchObject({
        totalCredits: 1000,
        record: { credits: 60, uncollectedCredits: 60, billingStatus: 'needs_review', quantities },
      });
      expect((await initialize(user, 's', { modelId, estimatedTokens: 500 })).status).toBe(201);
      const ended = await user.post('/api/streaming-sessions/finalize', { sessionId: 's', ...call });
      expect(ended.body).toMatchObject({ actualCredits: 60, uncollected: 60 });
      expect(await balanceOf(user)).toMatchObject({ totalCredits: 1000, heldCredits: 0 });
    },
  );

  it('is so when a session ends, and when it ends once more after a time-out', async () => {
    const modelId = await modelWith(...prices);
    const user = service.as((await userWithCredits(service, 1000)).userId);
    for (const sessionId of ['in time', 'late']) {
      expect((await initialize(user, sessionId, { modelId, estimatedTokens: 500 })).status).toBe(201);
      if (sessionId === 'late') await timeOut(user, sessionId);
      const answer = await user.post('/api/streaming-sessions/finalize', {
        sessionId,
        provider: 'openai',
        usage,
      });
      expect(answer.body).toMatchObject({ actualCredits: 100, uncollected: 30 });
    }
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 860, heldCredits: 0 });
  });

  async function timeOut(user: HttpClient, sessionId: string): Promise<void> {
    await service.owner.query(
      `UPDATE streaming_sessions SET expires_at = now() - interval '1 minute' WHERE account_id = $1 AND session_id = $2`,
      [user.userId, sessionId],
    );
    await service.owner.query(`SELECT session_timeout($1, $2)`, [
      user.userId,
      JSON.stringify({ accountId: user.userId, userId: user.userId, sessionId, wait: true }),
    ]);
  }
});

it.each([
  ['gemini', { promptTokenCount: 1, promptTokensDetails: [{ modality: { toString: 1 } }] }],
  ['bedrock', { inputTokens: 1, outputTokens: 1, cacheDetails: [{ ttl: { toString: 0 } }] }],
])('usage whose parts are named by objects is no fault: %s', async (provider, usage) => {
  const answer = await root.post('/api/credits/calculate', { modelId: 'm', provider, usage });
  expect([200, 400]).toContain(answer.status);
});
