import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PriceClass, Quantities, ServiceTier } from '../../../src/pricing/price-classes.js';
import type { HttpClient } from '../../support/http-client.js';
import { startService, type TestService } from '../../support/service.js';

/**
 * What calls cost by this service and by LiteLLM's own package, both by the price map that the package carries. The
 * package comes from PyPI into a virtual environment that stays for the next run.
 */
const VERSION = '1.106.2';
const ENVIRONMENT = `/tmp/accounting-litellm/prices-${VERSION}`;
const PROGRAM = fileURLToPath(new URL('prices.py', import.meta.url));
const MINUTES = 60_000;
/** Doubles have 16 digits, and LiteLLM adds up a few of them. */
const TOLERANCE = 1e-12;
const AT_ONCE = 32;

interface Call {
  model: string;
  quantities: Quantities;
  tier: ServiceTier;
  /** What LiteLLM says. */
  usd: number;
}
interface Quote {
  providerCostUsd: string | null;
  pricedAs: string;
  classes: { class: PriceClass; pricedAs: string | null; providerCostUsd: string | null }[];
}

/** Calls that cost another amount here: without what these classes cost here, the amounts are the same. */
interface Exception {
  models: RegExp;
  /** How many models. */
  count: number;
  classes: PriceClass[];
  wrong: string;
  why: string;
}
const WRITES: PriceClass[] = ['cache_write_5m', 'cache_write_1h'];
const OUTPUT: PriceClass[] = ['output', 'reasoning'];
const EXCEPTIONS: Exception[] = [
  {
    models: /^(deepseek|tencent|zai)\b|^vercel_ai_gateway\/openai\//,
    count: 40,
    classes: WRITES,
    wrong: 'LiteLLM',
    why: 'the file has 0: these providers have no price for writing to the cache, and charge the tokens as input',
  },
  {
    models: /^tensormesh\//,
    count: 10,
    classes: ['cached_input'],
    wrong: 'we, by a rule: 0 is free or unknown, and the import names these models',
    why: 'the file has 0, and cached input is free: https://docs.tensormesh.ai/pricing-overview',
  },
  {
    models: /^(coralbricks\/|gemini-robotics-er-1\.5-preview$)/,
    count: 7,
    classes: ['cached_input'],
    wrong: 'unknown',
    why: 'the file has 0, and nothing that we have seen says whether cached input is free',
  },
  {
    models: /^azure(_ai)?\/model[-_]router$/,
    count: 3,
    classes: OUTPUT,
    wrong: 'we, by a rule: 0 is free or unknown, and the import names these models',
    why: 'the file has 0: the price is the fee of the router, for input only; the model it chooses costs more',
  },
  {
    models: /^vercel_ai_gateway\/.*embed|^fireworks-ai-embedding-/,
    count: 6,
    classes: OUTPUT,
    wrong: 'the file',
    why: 'it does not say that they are embeddings, which have no output',
  },
  {
    models: /^(scaledown\/|together_ai\/together\/Tev1|cloudflare\/(@cf\/cloudflare\/)?clairic$)/,
    count: 8,
    classes: OUTPUT,
    wrong: 'unknown',
    why: 'the file has 0 for output of models that give back text',
  },
  {
    models: /dall-e-3$|\/lyria-|^(gemini\/)?gemini-2\.0-flash-exp-image-generation$/,
    count: 16,
    classes: ['input', 'cached_input', ...WRITES, ...OUTPUT],
    wrong: 'neither: they are not charged by token',
    why: 'LiteLLM says that tokens cost the provider 0, we say that it is unknown, and charge 0',
  },
];
/** Models that have a price and are not imported, and the call is not priced. */
const NOT_IMPORTED = {
  'azure_ai/jais-30b-chat': 'the file has the price of 1,000 tokens for that of one',
  'watsonx/core42/jais-13b-chat': 'the file has the price of 1,000 tokens for that of one',
};

let service: TestService;
let root: HttpClient;
let map: string;
let entries: Record<string, Record<string, unknown>>;
let calls: Call[];
let skipped: Set<string>;
/** Calls that cost another amount here, and what they cost. */
const different: { call: Call; quote: Quote }[] = [];

beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  const priced = await price();
  map = await readFile(priced.map, 'utf8');
  entries = JSON.parse(map) as typeof entries;
  skipped = await importMap('');
  calls = priced.calls;
  await quoteAll(
    calls.filter(({ model }) => !skipped.has(model)),
    (call, quote) => {
      expect(quote.pricedAs, 'the model has a rule of its own').toBe(call.model);
      if (!isEqual(Number(quote.providerCostUsd ?? Number.NaN), call.usd)) different.push({ call, quote });
    },
  );
}, 15 * MINUTES);
afterAll(() => service.close());

it('every importable model is called, and of those that are not, none costs anything', () => {
  const called = new Set(calls.map(({ model }) => model));
  const importable = Object.keys(entries).filter((model) => !skipped.has(model));
  expect(importable.filter((model) => !called.has(model))).toEqual([]);
  const lost = calls.filter(({ model, usd }) => skipped.has(model) && usd > 0).map(({ model }) => model);
  expect([...new Set(lost)].sort()).toEqual(Object.keys(NOT_IMPORTED));
});

it('at least 99 % of the models that have a price above 0 are imported', () => {
  const charged = Object.keys(entries).filter((model) => model !== 'sample_spec' && hasPrice(entries[model]));
  const share = charged.filter((model) => !skipped.has(model)).length / charged.length;
  expect(charged.length).toBeGreaterThan(3000);
  expect(share).toBeGreaterThanOrEqual(0.99);
  console.log(`${charged.length} models with a price, ${(100 * share).toFixed(2)} % of them imported`);
});

it('a call costs what LiteLLM says, and each exception is one that is listed', () => {
  const unlisted = different.filter((each) => exceptionOf(each) === undefined);
  const message = `${unlisted.length} of ${calls.length} calls, first ${JSON.stringify(unlisted.slice(0, 5), null, 1)}`;
  expect(unlisted.length, message).toBe(0);
  console.log(`${calls.length} calls, ${different.length} of them exceptions`);
});

it.each(EXCEPTIONS.map((each) => [each.why, each] as const))('exception: %s', (_, exception) => {
  const models = different.filter((each) => exceptionOf(each) === exception).map(({ call }) => call.model);
  expect(new Set(models).size).toBe(exception.count);
});

it('without exceptions, where 0 is imported as free', async () => {
  await importMap('?includeFree=true');
  const unequal: Call[] = [];
  await quoteAll(
    different.map(({ call }) => call),
    (call, { providerCostUsd }) => {
      if (!isEqual(Number(providerCostUsd ?? Number.NaN), call.usd)) unequal.push(call);
    },
  );
  expect(unequal).toEqual([]);
});

async function price(): Promise<{ map: string; calls: Call[] }> {
  const run = promisify(execFile);
  const python = join(ENVIRONMENT, 'bin/python');
  const isInstalled =
    existsSync(python) &&
    (await run(python, [
      '-c',
      `import importlib.metadata as m; assert m.version('litellm') == '${VERSION}'`,
    ]).then(
      () => true,
      () => false,
    ));
  try {
    if (!isInstalled) {
      await run('python3', ['-m', 'venv', ENVIRONMENT]);
      await run(python, ['-m', 'pip', 'install', '--quiet', `litellm==${VERSION}`]);
    }
  } catch (error) {
    throw new Error(`litellm ${VERSION} cannot be installed: this needs Python 3.10 and its package index`, {
      cause: error,
    });
  }
  const { stdout } = await run(python, [PROGRAM], { maxBuffer: 2 ** 28 });
  return JSON.parse(stdout) as { map: string; calls: Call[] };
}

/** Answers the models that are not imported. */
async function importMap(query: string): Promise<Set<string>> {
  const answer = await root.post<{ skipped: { modelId: string }[] }>(`/api/pricing/import${query}`, map);
  expect(answer.status, answer.text.slice(0, 500)).toBe(200);
  return new Set(answer.body.skipped.map(({ modelId }) => modelId));
}

async function quoteAll(all: Call[], take: (call: Call, quote: Quote) => void): Promise<void> {
  const rest = all.values();
  const work = async () => {
    for (const call of rest) {
      const { model: modelId, quantities, tier: serviceTier } = call;
      const body = { modelId, quantities, serviceTier };
      const answer = await root.post<Quote>('/api/credits/calculate', body);
      expect(answer.status, answer.text).toBe(200);
      take(call, answer.body);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function exceptionOf({ call, quote }: { call: Call; quote: Quote }): Exception | undefined {
  return EXCEPTIONS.find(({ models, classes }) => {
    const others = quote.classes.filter(
      (each) => !classes.includes(each.class) || each.pricedAs === each.class,
    );
    const usd = others.reduce((sum, each) => sum + Number(each.providerCostUsd), 0);
    return models.test(call.model) && others.length < quote.classes.length && isEqual(usd, call.usd);
  });
}

function isEqual(one: number, other: number): boolean {
  return Math.abs(one - other) <= TOLERANCE * Math.abs(other);
}

function hasPrice(value: unknown, isPrice = false): boolean {
  if (typeof value === 'number') return isPrice && value > 0;
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([field, each]) => hasPrice(each, isPrice || /cost/.test(field)));
}
