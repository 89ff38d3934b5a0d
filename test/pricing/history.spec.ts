import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Movements } from '../../src/common/database/movements.js';
import {
  CLASS_NAMES,
  PRICE_CLASSES,
  type Quantities,
  SERVICE_TIERS,
  type ServiceTier,
} from '../../src/pricing/price-classes.js';
import { CHARGE } from '../../src/usage/usage.operations.js';
import type { HttpClient } from '../support/http-client.js';
import { balanceOf, expectSoundBooks, userWithCredits } from '../support/money.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';

/** Prices change from age to age, and in each age every model is called. */
const AGES = 8;
const CALLS_OF_A_MODEL = 4;
const TOKEN_CLASSES = CLASS_NAMES.filter((name) => PRICE_CLASSES[name] === 'token');

interface Call {
  modelId: string;
  quantities: Quantities;
  serviceTier: ServiceTier;
}
interface Charged {
  record: { id: number; timestamp: string; credits: number; providerCostUsd: string | null };
}
interface Made {
  call: Call;
  answer: Charged;
  /** The same request once more. */
  repeat: () => Promise<Charged>;
}

const random = new SeededRandom();
const own = freshUser('own');
const family = freshUser('family');
const alias = freshUser('alias');
const imported = freshUser('imported');
/** What an alias means has no history: a late call takes today's meaning, any other the price of its time. */
const WITH_HISTORY = [
  own,
  `${family}-small`,
  `${family}-large`,
  imported,
  `acme/${imported}`,
  freshUser('unpriced'),
];

let service: TestService;
let root: HttpClient;
let user: HttpClient;
const made: Made[] = [];
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  user = await userWithCredits(service, 1_000_000_000);
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

it(`no later price changes a charge, nor does a repetition or a late report (TEST_SEED=${random.seed})`, async () => {
  for (let age = 0; age < AGES; age++) {
    await changePrices();
    for (const modelId of [...WITH_HISTORY, alias])
      for (let call = 0; call < CALLS_OF_A_MODEL; call++) await charge(someCall(modelId));
  }
  const first = [...made];
  for (const { call, answer } of first) {
    if (call.modelId === alias) continue;
    const late = await chargeLate(call, answer.record.timestamp);
    const { credits, providerCostUsd } = answer.record;
    expect(late.record, JSON.stringify(call)).toMatchObject({ credits, providerCostUsd });
  }
  // Most prices are others by now, or this proves nothing.
  const today = await Promise.all(first.map(({ call }) => creditsToday(call)));
  const changed = today.filter((credits, index) => credits !== first[index]?.answer.record.credits);
  expect(changed.length).toBeGreaterThan(first.length / 2);
  await expectRecordsOfTheirRules();

  const balance = await balanceOf(user);
  for (const { answer, repeat } of made) expect((await repeat()).record).toEqual(answer.record);
  expect(await balanceOf(user)).toEqual(balance);
});

/** Each record is priced again by what it keeps. */
async function expectRecordsOfTheirRules(): Promise<void> {
  const { rows } = await service.owner.query<{ id: string; isSame: boolean }>(
    `SELECT r.id, (r.credits, r.provider_cost_usd) IS NOT DISTINCT FROM (p.credits, p.provider_cost_usd) AS "isSame"
       FROM usage_records r
      CROSS JOIN LATERAL price_call(components_of(r.pricing_rule_id), r.quantities, r.service_tier::varchar) p
      WHERE r.account_id = $1`,
    [user.userId],
  );
  expect(rows).toHaveLength(made.length);
  expect(rows.filter(({ isSame }) => !isSame)).toEqual([]);
}

async function charge(call: Call): Promise<void> {
  const request = { ...call, requestId: `call-${made.length}` };
  const repeat = async () => {
    const { status, text, body } = await user.post<Charged>('/api/usage/charge', request);
    expect([200, 201], text).toContain(status);
    return body;
  };
  made.push({ call, repeat, answer: await repeat() });
}

/** As a gateway reports it that was away. */
async function chargeLate({ modelId, quantities, serviceTier }: Call, timestamp: string): Promise<Charged> {
  const requestId = `call-${made.length}`;
  const request = {
    ...{ accountId: user.userId, userId: user.userId, actor: 'gateway', apiKeyId: null },
    ...{ callerId: 'gateway', idempotencyKey: null, requestHash: null },
    ...{ requestId, contentHash: createHash('sha256').update(requestId).digest('hex') },
    ...{ modelId, quantities, serviceTier, unexplainedTokens: 0, timestamp },
    ...{ service: 'chat', metadata: {}, providerCostUsd: null, billingStatus: 'billed' as const },
    ...{ onInsufficient: 'reject' as const, rejectUnpriced: false },
  };
  const repeat = async () => (await service.get(Movements).run(CHARGE, request)) as unknown as Charged;
  const answer = await repeat();
  made.push({ call: { modelId, quantities, serviceTier }, repeat, answer });
  return answer;
}

async function creditsToday(call: Call): Promise<number> {
  return (await root.post<{ credits: number }>('/api/credits/calculate', call)).body.credits;
}

function someCall(modelId: string): Call {
  const classes = Array.from({ length: random.integer(1, 4) }, () => random.pick(TOKEN_CLASSES));
  const quantities = Object.fromEntries(classes.map((name) => [name, random.integer(1, 3000)]));
  return { modelId, quantities, serviceTier: random.pick(SERVICE_TIERS) };
}

async function changePrices(): Promise<void> {
  await setPrices(own);
  await setPrices(random.pick([`${family}*`, `${family}-s*`, `${family}-small`]));
  const usd = () => random.integer(1, 9999) / 1e9;
  const entry = {
    input_cost_per_token: usd(),
    output_cost_per_token: usd(),
    input_cost_per_token_batches: usd(),
  };
  const answer = await root.post('/api/pricing/import', {
    [imported]: { litellm_provider: 'acme', ...entry },
  });
  expect(answer.status, answer.text).toBe(200);
  const { body } = await root.get<{ items: { id: number; modelId: string }[] }>('/api/pricing?limit=200');
  const prefix = body.items.find(({ modelId }) => modelId === `${family}-s*`);
  if (prefix !== undefined && random.chance(0.5)) await root.delete(`/api/pricing/${prefix.id}`);
  const aliases = await root.get<{ items: { id: number }[] }>('/api/pricing/aliases');
  for (const { id } of aliases.body.items) await root.delete(`/api/pricing/aliases/${id}`);
  const modelId = random.pick([own, imported, `${family}-large`]);
  expect((await root.post('/api/pricing/aliases', { alias, modelId })).status).toBe(201);
}

async function setPrices(modelId: string): Promise<void> {
  const price = () => String(random.integer(0, 99_999) / 100_000);
  const components = TOKEN_CLASSES.flatMap((name) =>
    SERVICE_TIERS.flatMap((serviceTier) =>
      [0, 2000].flatMap((contextAbove) =>
        random.chance(0.3) && !(name === 'tokens' && serviceTier === 'standard' && contextAbove === 0)
          ? [{ class: name, serviceTier, contextAbove, price: price(), providerCostUsd: price() }]
          : [],
      ),
    ),
  );
  const answer = await root.post('/api/pricing', { modelId, pricePerThousandTokens: '1.5', components });
  expect(answer.status, answer.text).toBe(201);
}
