import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Decimal } from '../../src/common/money/decimal.js';
import { stored } from '../../src/pricing/components.js';
import type { PriceClass } from '../../src/pricing/price-classes.js';
import type { HttpClient } from '../support/http-client.js';
import { initialize, userWithCredits } from '../support/money.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { scaled, unscaled } from '../support/usage-model.js';

/** Prices in whole numbers of 10^-18 credits per 1,000 tokens. */
const ONE = 10n ** 18n;
const MAXIMUM_PRICE = 1_000_000n * ONE;
const MAXIMUM_TOKENS = 1_000_000_000;
const RANDOM_CASES = 4000;

const random = new SeededRandom();
const seed = `TEST_SEED=${random.seed}`;
let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  await root.get('/api/credits/balance');
});
afterAll(() => service.close());

interface Call {
  tokens: number | null;
  input: number | null;
  output: number | null;
  cached: number | null;
  price: bigint;
  inputPrice: bigint | null;
  outputPrice: bigint | null;
  cachedPrice: bigint | null;
}

/** The law, in whole numbers: the sum over the classes, divided by 1,000 and rounded once, up. */
function creditsFor(call: Call): bigint {
  const cost =
    BigInt(call.tokens ?? 0) * call.price +
    BigInt(call.input ?? 0) * (call.inputPrice ?? call.price) +
    BigInt(call.output ?? 0) * (call.outputPrice ?? call.price) +
    BigInt(call.cached ?? 0) * (call.cachedPrice ?? call.inputPrice ?? call.price);
  return (cost + 1000n * ONE - 1n) / (1000n * ONE);
}

/** The most tokens that cost no more, less what is owed already (in thousandths of credits, scaled like prices). */
function tokensFor(credits: bigint, fixed: bigint, price: bigint): bigint {
  const left = credits * 1000n * ONE - fixed;
  if (left < 0n) return 0n;
  if (price === 0n) return BigInt(MAXIMUM_TOKENS);
  const tokens = left / price;
  return tokens < BigInt(MAXIMUM_TOKENS) ? tokens : BigInt(MAXIMUM_TOKENS);
}

/** A price with at most so many decimals; small ones and whole ones often, and the limits sometimes. */
function randomPrice(decimals: number): bigint {
  const unit = 10n ** BigInt(18 - decimals);
  const limits = [0n, unit, ONE, MAXIMUM_PRICE, MAXIMUM_PRICE - unit];
  if (random.chance(0.1)) return random.pick(limits);
  const most = random.pick([ONE / 100n, ONE, 100n * ONE, MAXIMUM_PRICE]);
  return random.big(0n, most / unit) * unit;
}

function randomTokens(): number {
  if (random.chance(0.1)) return random.pick([0, 1, 999, 1000, 1001, MAXIMUM_TOKENS]);
  return random.integer(0, random.pick([100, 10_000, 1_000_000, MAXIMUM_TOKENS]));
}

function randomCall(): Call {
  const decimals = random.pick([4, 8, 18]);
  const byClass = random.chance(0.6);
  const maybe = <T>(value: T) => (random.chance(0.5) ? value : null);
  return {
    tokens: byClass ? null : randomTokens(),
    input: byClass ? randomTokens() : null,
    output: byClass ? randomTokens() : null,
    cached: byClass ? maybe(randomTokens()) : null,
    price: randomPrice(decimals),
    inputPrice: maybe(randomPrice(decimals)),
    outputPrice: maybe(randomPrice(decimals)),
    cachedPrice: maybe(randomPrice(decimals)),
  };
}

/** BigInt as the decimal text that SQL and the API take. */
const asDecimals = (values: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? unscaled(value) : value,
    ]),
  );

/** The rule's components for the price of a call; credits for one token have three decimals more than for 1,000. */
function componentsOf({ price, inputPrice, outputPrice, cachedPrice }: Call) {
  const prices = { tokens: price, input: inputPrice, output: outputPrice, cached_input: cachedPrice };
  const perToken = (perThousand: bigint) =>
    Decimal.of(unscaled(perThousand)).times(Decimal.of('0.001')).toString();
  return stored(
    (Object.entries(prices) as [PriceClass, bigint | null][]).flatMap(([name, each]) =>
      each === null
        ? []
        : [{ class: name, serviceTier: 'standard', contextAbove: 0, price: perToken(each), cost: null }],
    ),
  );
}

describe('price_call', () => {
  it(`is the exact sum rounded once, up, for ${RANDOM_CASES} random calls with 4, 8 and 18 decimals`, async () => {
    const calls = Array.from({ length: RANDOM_CASES }, randomCall);
    await service.owner.query(
      `INSERT INTO pricing_rules (model_id, created_by, components)
       SELECT 'random-' || n, 'root', value FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY c (value, n)`,
      [JSON.stringify(calls.map(componentsOf))],
    );
    const quantities = calls.map(({ tokens, input, output, cached }) =>
      Object.fromEntries(
        Object.entries({ tokens, input, output, cached_input: cached }).filter(([, count]) => count !== null),
      ),
    );
    const { rows } = await service.owner.query<{ credits: string }>(
      `SELECT (price_call(r.components, q.value, 'standard')).credits
         FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY q (value, n)
         JOIN pricing_rules r ON r.model_id = 'random-' || q.n ORDER BY q.n`,
      [JSON.stringify(quantities)],
    );
    expect(rows).toHaveLength(RANDOM_CASES);
    for (const [index, call] of calls.entries()) {
      const message = `${seed}: ${JSON.stringify(asDecimals({ ...call }))}`;
      expect(BigInt(rows[index]?.credits ?? -1), message).toBe(creditsFor(call));
    }
  });
});

describe('tokens_for_credits', () => {
  it(`is the exact quotient rounded down, for ${RANDOM_CASES} random amounts`, async () => {
    const cases = Array.from({ length: RANDOM_CASES }, () => {
      const credits = random.big(0n, random.pick([10n, 1000n, 10n ** 9n, 2n ** 53n - 1n]));
      // What is owed already: often nothing, or all of it, or a hair more or less.
      const all = credits * 1000n * ONE;
      const fixed = random.pick([0n, 0n, all, all + 1n, all > 0n ? all - 1n : 0n, random.big(0n, all + ONE)]);
      return { credits, fixed, price: randomPrice(random.pick([4, 8, 18])) };
    });
    const { rows } = await service.owner.query<{ tokens: string; fits: boolean; one_more_fits: boolean }>(
      `SELECT tokens, ceil(tokens * price * 0.001) <= credits AS fits,
              ceil((tokens + 1) * price * 0.001) <= credits AS one_more_fits
         FROM unnest($1::bigint[], $2::numeric[], $3::numeric[]) WITH ORDINALITY AS c (credits, fixed, price, n),
              tokens_for_credits(credits, fixed * 0.001, price * 0.001) AS tokens
        ORDER BY n`,
      [
        cases.map(({ credits }) => String(credits)),
        cases.map(({ fixed }) => unscaled(fixed)),
        cases.map(({ price }) => unscaled(price)),
      ],
    );
    for (const [index, { credits, fixed, price }] of cases.entries()) {
      const row = rows[index];
      const message = `${seed}: ${credits} credits, ${unscaled(fixed)} owed, price ${unscaled(price)}`;
      const tokens = tokensFor(credits, fixed, price);
      expect(BigInt(row?.tokens ?? -1), message).toBe(tokens);
      if (fixed > 0n) continue;
      expect(row?.fits, message).toBe(true);
      if (tokens < MAXIMUM_TOKENS) expect(row?.one_more_fits, message).toBe(false);
    }
  });
});

/** As it would be computed with doubles. */
const naive = (tokens: number, price: bigint) => Math.ceil((tokens * Number(unscaled(price))) / 1000);
const exact = (tokens: number, price: bigint) => {
  const none = {
    input: null,
    output: null,
    cached: null,
    inputPrice: null,
    outputPrice: null,
    cachedPrice: null,
  };
  return Number(creditsFor({ ...none, tokens, price }));
};

/**
 * Calls whose naive result is wrong. A cost of exactly so many credits that comes out a hair higher is one credit too
 * much; a cost a hair above so many credits that comes out as exactly those is one too little.
 */
function searchWrong(decimals: number, direction: 'too much' | 'too little', wanted: number) {
  const found: { tokens: number; price: bigint }[] = [];
  for (let attempt = 0; attempt < 100_000 && found.length < wanted; attempt++) {
    const { tokens, price } = direction === 'too much' ? wholeCost(decimals) : hairAboveWhole(decimals);
    const difference = naive(tokens, price) - exact(tokens, price);
    if (direction === 'too much' ? difference > 0 : difference < 0) found.push({ tokens, price });
  }
  return found;
}

/** Tokens with the factor 5 as often as the price has decimals, and a price with the factor 2 as often. */
function wholeCost(decimals: number): { tokens: number; price: bigint } {
  return {
    tokens: 1000 * 5 ** decimals * random.integer(1, Math.floor(1_000_000 / 5 ** decimals)),
    price: (2n ** BigInt(decimals) * random.big(1n, 10n ** 6n) * ONE) / 10n ** BigInt(decimals),
  };
}

/** Tokens times price are 1 modulo what one credit is: the price is the inverse of the tokens. */
function hairAboveWhole(decimals: number): { tokens: number; price: bigint } {
  const tokens = 10 * random.integer(1, MAXIMUM_TOKENS / 10 - 1) + random.pick([1, 3, 7, 9]);
  const credit = 10n ** BigInt(decimals + 3);
  const price = inverse(BigInt(tokens), credit) + credit * random.big(0n, 999n);
  return { tokens, price: (price * ONE) / 10n ** BigInt(decimals) };
}

/** The x with value × x = 1 modulo a power of ten (Euclid). */
function inverse(value: bigint, modulus: bigint): bigint {
  let [low, high, x, y] = [value % modulus, modulus, 1n, 0n];
  while (low > 1n) [low, high, x, y] = [high % low, low, y - (high / low) * x, x];
  return ((x % modulus) + modulus) % modulus;
}

describe('POST /credits/calculate where doubles are wrong', () => {
  const quote = async (price: bigint, tokens: object) => {
    const modelId = freshUser('exact/model');
    const rule = await root.post('/api/pricing', { modelId, pricePerThousandTokens: unscaled(price) });
    expect(rule).toMatchObject({ status: 201, body: { pricePerThousandTokens: unscaled(price) } });
    const answer = await service.as('alice').post('/api/credits/calculate', { modelId, ...tokens });
    expect(answer.status).toBe(200);
    return answer.body;
  };

  it.each<[decimals: number, direction: 'too much' | 'too little']>([
    [4, 'too much'],
    [4, 'too little'],
    [8, 'too much'],
    [8, 'too little'],
  ])('is exact at %i decimals where they come to %s', async (decimals, direction) => {
    const wrong = searchWrong(decimals, direction, 8);
    expect(wrong, `${seed}: none found`).toHaveLength(8);
    for (const { tokens, price } of wrong) {
      const message = `${seed}: ${tokens} tokens at ${unscaled(price)}`;
      expect(naive(tokens, price), message).not.toBe(exact(tokens, price));
      const { credits, pricePerThousandTokens } = await quote(price, { tokens });
      expect(credits, message).toBe(exact(tokens, price));
      expect(pricePerThousandTokens, message).toBe(unscaled(price));
    }
  });

  // Small enough to check by hand.
  it.each<[tokens: number, price: string, credits: number, wrong: number]>([
    [5_000_000, '0.0102', 51, 52],
    [5_000_000, '0.0198', 99, 100],
    [62_500_000, '0.0164', 1025, 1026],
    [390_625_000, '0.00001792', 7, 8],
    [390_625_000, '0.00026368', 103, 104],
    [1000, '1.000000000000000001', 2, 1],
    [1_000_000_000, '1000.000000000000000001', 1_000_000_001, 1_000_000_000],
  ])('%i tokens at %s cost %i, where doubles come to %i', async (tokens, price, credits, wrong) => {
    expect(naive(tokens, scaled(price))).toBe(wrong);
    expect((await quote(scaled(price), { tokens })).credits).toBe(credits);
  });

  it.each<[tokens: number, price: string, credits: number]>([
    [3000, '0.0001', 1],
    [1, '0.000000000000000001', 1],
    [1_000_000_000, '0.000000000000000001', 1],
    [1000, '0.999999999999999999', 1],
    [1_000_000_000, '999999.9999', 999_999_999_900],
    [1_000_000_000, '1000000', 1_000_000_000_000],
  ])('%i tokens at %s cost %i', async (tokens, price, credits) => {
    expect((await quote(scaled(price), { tokens })).credits).toBe(credits);
  });

  it('is exact for random prices of 18 decimals, which a double cannot even hold', async () => {
    for (let index = 0; index < 40; index++) {
      const [price, tokens] = [randomPrice(18), randomTokens()];
      const message = `${seed}: ${tokens} tokens at ${unscaled(price)}`;
      expect((await quote(price, { tokens })).credits, message).toBe(exact(tokens, price));
    }
  });

  it('rounds once, over all classes: three times 0.4 are 2 credits, not 3', async () => {
    const classes = { inputTokens: 400, outputTokens: 400, cachedInputTokens: 400 };
    expect((await quote(ONE, classes)).credits).toBe(2);
    expect((await quote(ONE, { ...classes, outputTokens: 200 })).credits).toBe(1);
    expect((await quote(ONE, { ...classes, outputTokens: 201 })).credits).toBe(2);
  });

  it.each<[what: string, price: bigint, tokens: object]>([
    ['no tokens', MAXIMUM_PRICE, { tokens: 0 }],
    ['no tokens of any class', MAXIMUM_PRICE, { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0 }],
    ['a price of 0', 0n, { tokens: MAXIMUM_TOKENS }],
  ])('costs nothing for %s', async (_, price, tokens) => {
    expect((await quote(price, tokens)).credits).toBe(0);
  });
});

describe('the most tokens at the highest price', () => {
  const classes = {
    inputTokens: MAXIMUM_TOKENS,
    outputTokens: MAXIMUM_TOKENS,
    cachedInputTokens: MAXIMUM_TOKENS,
  };
  let modelId: string;
  beforeAll(async () => {
    modelId = freshUser('dear/model');
    await root.post('/api/pricing', { modelId, pricePerThousandTokens: '1000000' });
  });

  it('200 with the exact cost', async () => {
    const answer = await service.as().post('/api/credits/calculate', { modelId, ...classes });
    expect(answer).toMatchObject({ status: 200, body: { credits: 3e12 } });
  });

  it('402 for a session that would need more than anyone has, with the exact need', async () => {
    const user = await userWithCredits(service, 1_000_000);
    for (const [estimate, requiredCredits] of [
      [{ estimatedTokens: MAXIMUM_TOKENS }, 1.2e12],
      [
        {
          estimatedTokens: undefined,
          estimatedInputTokens: MAXIMUM_TOKENS,
          estimatedOutputTokens: MAXIMUM_TOKENS,
        },
        2.4e12,
      ],
    ] as const) {
      const answer = await initialize(user, 's', { modelId, ...estimate });
      expect(answer).toMatchObject({ status: 402, body: { requiredCredits, availableCredits: 1_000_000 } });
    }
  });

  it('200 for a finished call that cost so much: what is missing is kept for review', async () => {
    const user = await userWithCredits(service, 1200);
    expect((await initialize(user, 's', { modelId, estimatedTokens: 1 })).status).toBe(201);
    const answer = await user.post('/api/streaming-sessions/finalize', { sessionId: 's', ...classes });
    expect(answer).toMatchObject({ status: 200, body: { actualCredits: 3e12, uncollected: 3e12 - 1200 } });
  });

  it.each([
    ['tokens', { tokens: MAXIMUM_TOKENS + 1 }],
    ['inputTokens', { inputTokens: 1e18, outputTokens: 0 }],
    ['outputTokens', { inputTokens: 0, outputTokens: 1e16 }],
    ['cachedInputTokens', { inputTokens: 0, outputTokens: 0, cachedInputTokens: -1 }],
    ['tokens', { tokens: 0.5 }],
  ])('400 for more, or for no count at all: %s', async (field, tokens) => {
    const answer = await service.as().post('/api/credits/calculate', { modelId, ...tokens });
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toContainEqual(expect.objectContaining({ field }));
  });
});
