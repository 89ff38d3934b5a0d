import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, HttpClient } from '../../support/http-client.js';
import { balanceOf, expectSoundBooks, initialize, SONNET, userWithCredits } from '../../support/money.js';
import {
  type DocumentedOperation,
  documentedOperations,
  exampleBody,
  pathWith,
} from '../../support/operations.js';
import { expectProblem } from '../../support/problems.js';
import { freshUser, startService, type TestService } from '../../support/service.js';
import { snapshot } from '../../support/snapshot.js';

let service: TestService;
let operations: Map<string, DocumentedOperation>;
let alice: HttpClient;
/** An admin with credits of their own, who may make every call. */
let root: HttpClient;
let lotId: string;
let budgetId: string;
const SESSION = 'session-of-bad-input';
const ORGANISATION = 'org:bad-input';

beforeAll(async () => {
  service = await startService();
  operations = await documentedOperations(service);
  alice = await userWithCredits(service, 1000);
  root = service.as('root', { role: 'admin' });
  const lot = await root.post('/api/credits/allocate', { userId: 'root', credits: 1000 });
  expect(lot.status).toBe(201);
  lotId = String(lot.body.id);
  expect((await initialize(root, SESSION)).status).toBe(201);
  const made = await root.post('/api/organisations', { id: ORGANISATION, name: 'Bad input' });
  expect(made.status).toBe(201);
  const budget = await root.post('/api/budgets', GOOD.createBudget);
  expect(budget.status).toBe(201);
  budgetId = String(budget.body.id);
});
afterAll(() => service.close());

/** Runs calls of which none may write anything. */
async function changingNothing(work: () => Promise<void>): Promise<void> {
  const before = await snapshot(service.owner);
  await work();
  expect(await snapshot(service.owner)).toEqual(before);
}

/** JSON text of an object with one field replaced by JSON text, which may say what no JavaScript value does. */
function jsonWith(body: object, field: string, json: string): string {
  const rest = Object.entries(body).filter(([name]) => name !== field);
  const members = rest.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...members, `${JSON.stringify(field)}:${json}`].join(',')}}`;
}

const text = (value: string) => JSON.stringify(value);
const fields = (count: number) =>
  `{${Array.from({ length: count }, (_, index) => `"f${index}":1`).join(',')}}`;
const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const listOf43 = (item: string) => `[${Array.from({ length: 43 }, () => item).join(',')}]`;
/** 46,000 lists, none of them long. */
const LISTS = listOf43(listOf43('['.repeat(25) + ']'.repeat(25)));

/** A good body for each POST with fields; what the operations refuse below is one field of these. */
const GOOD: Record<string, object> = {
  checkCredits: { requiredCredits: 10 },
  calculateCredits: { modelId: SONNET, tokens: 1000 },
  'calculateCredits by class': { modelId: SONNET, inputTokens: 10, outputTokens: 10 },
  allocateCredits: { userId: 'root', credits: 10 },
  deductCredits: { userId: 'root', credits: 10, notes: 'correction' },
  revokeAllocation: {},
  initializeSession: { sessionId: 'never-started', modelId: SONNET, estimatedTokens: 1000 },
  'initializeSession by class': {
    sessionId: 'never-started',
    modelId: SONNET,
    estimatedInputTokens: 10,
    estimatedOutputTokens: 10,
  },
  reportProgress: { sessionId: SESSION, tokensGenerated: 10 },
  finalizeSession: { sessionId: SESSION, actualTokens: 10 },
  'finalizeSession by class': { sessionId: SESSION, inputTokens: 10, outputTokens: 10 },
  abortSession: { sessionId: SESSION },
  recordUsage: { service: 'embeddings', operation: 'embed', credits: 1 },
  createPricingRule: { modelId: 'bad/model', pricePerThousandTokens: '3' },
  createPricingAlias: { alias: 'bad/alias', modelId: 'bad/model' },
  chargeUsage: { requestId: 'never-charged', modelId: SONNET, tokens: 1000 },
  'chargeUsage by class': {
    requestId: 'never-charged',
    modelId: SONNET,
    inputTokens: 10,
    outputTokens: 10,
  },
  reviewUsage: { action: 'waive', version: 1 },
  createApiKey: { name: 'bad' },
  rotateApiKey: {},
  verifyApiKey: { key: 'ak_none' },
  createWebhook: { url: 'https://hooks.example/accounting' },
  createAlertRule: { name: 'bad rule', channel: 'slack', url: 'https://hooks.example/alerts' },
  previewPricing: { modelId: 'bad/model', pricePerThousandTokens: '3' },
  rotateWebhookSecret: {},
  createBudget: { scope: 'account', unit: 'credits', window: 'day', amount: 1, mode: 'soft' },
  raiseBudget: { amount: 1, reason: 'bad' },
  createOrganisation: { name: 'bad' },
  addMember: { userId: 'bad', role: 'member' },
  createUnit: { name: 'bad' },
  replayWebhook: { since: '2026-11-21T00:00:00Z' },
};

/** What a path has in it. */
function placeOf({ path }: DocumentedOperation): string {
  if (path.includes('/organisations/')) return ORGANISATION;
  return path.includes('/budgets/') ? budgetId : lotId;
}

function post(name: string, body: string, headers: Record<string, string> = {}): Promise<Answer> {
  const operation = operations.get(name.split(' ')[0] as string) as DocumentedOperation;
  return root.post(pathWith(operation, { id: placeOf(operation) }), body, headers);
}

/** Every one of these values is refused with a 400 that names the field, and nothing is written. */
async function expectFieldRefused(name: string, field: string, values: string[]): Promise<void> {
  const isRequired = operations.get(name.split(' ')[0] as string)?.body?.required?.includes(field) ?? false;
  await changingNothing(async () => {
    for (const json of values) {
      // In an optional field it is the same as leaving it out.
      if (json === 'null' && !isRequired) continue;
      const answer = await post(name, jsonWith(GOOD[name] as object, field, json));
      expect(answer.status, `${field}: ${json.slice(0, 80)} → ${answer.text}`).toBe(400);
      expectProblem(answer, 400, { code: 'validation.failed', field });
    }
  });
}

const NO_NUMBERS = ['"10"', '""', '"1e3"', 'null', 'true', '[]', '[10]', '{}'];
const NO_WHOLE_NUMBERS = ['1.5', '-1', '-0.5', '1e400', '-1e400', '1e21', '9007199254740993'];
const NO_TEXTS = ['5', 'null', 'true', '[]', '["a"]', '{}', text('a\u0000b'), '"\\ud800"', '"a\\udc00b"'];
const NO_IDS = [
  ...NO_TEXTS,
  '""',
  text('x'.repeat(300)),
  text(' a'),
  text('a '),
  text('a\nb'),
  text('\u007f'),
];
const NO_TIMES = [
  text('2026-02-30T00:00:00Z'),
  text('2026-13-01T00:00:00Z'),
  text('2026-11-21T25:00:00Z'),
  text('2030-11-21'),
  text('2030-11-21 12:00:00Z'),
  text('0001-01-01T00:00:00Z'),
  text('+010000-01-01T00:00:00Z'),
  text('9999-12-31T23:59:59-12:00'),
  text('yesterday'),
  text(' '),
  text('2030-11-21T12:00:00Z\u0000'),
  '1767225600',
  'null',
  '[]',
  '{}',
];
const NO_DECIMALS = [
  '-3',
  '0.1234567890123456',
  '1e400',
  '""',
  '"-1"',
  '"+1"',
  '"1e5"',
  '"1.2.3"',
  '" 1"',
  '".5"',
  '"1."',
  '"NaN"',
  '"١"',
  '[]',
].concat(['"1000000.000000000000000001"', '"0.1234567890123456789"', '"10000000"', text('1'.repeat(300))]);

describe('a number of credits, tokens or days', () => {
  it.each([
    ['checkCredits', 'requiredCredits', 0, 1e12],
    ['allocateCredits', 'credits', 1, 1e12],
    ['allocateCredits', 'expiryDays', 1, 3650],
    ['deductCredits', 'credits', 1, 1e12],
    ['recordUsage', 'credits', 0, 1e12],
    ['calculateCredits', 'tokens', 0, 1e9],
    ['calculateCredits by class', 'inputTokens', 0, 1e9],
    ['calculateCredits by class', 'outputTokens', 0, 1e9],
    ['calculateCredits by class', 'cachedInputTokens', 0, 1e9],
    ['initializeSession', 'estimatedTokens', 0, 1e9],
    ['initializeSession by class', 'estimatedInputTokens', 0, 1e9],
    ['initializeSession by class', 'estimatedOutputTokens', 0, 1e9],
    ['reportProgress', 'tokensGenerated', 0, 1e9],
    ['finalizeSession', 'actualTokens', 0, 1e9],
    ['finalizeSession by class', 'inputTokens', 0, 1e9],
    ['finalizeSession by class', 'outputTokens', 0, 1e9],
    ['finalizeSession by class', 'cachedInputTokens', 0, 1e9],
    ['abortSession', 'tokensGenerated', 0, 1e9],
  ])('%s refuses %s that is no whole number from %d to %d', async (name, field, minimum, maximum) => {
    const outside = [String(minimum - 1), String(maximum + 1)];
    await expectFieldRefused(name, field, [...NO_NUMBERS, ...NO_WHOLE_NUMBERS, ...outside]);
  });

  it.each([
    ['calculateCredits', 'tokens', { modelId: SONNET }],
    ['calculateCredits', 'tokens', { modelId: SONNET, tokens: 1, inputTokens: 1, outputTokens: 1 }],
    ['calculateCredits', 'tokens', { modelId: SONNET, inputTokens: 1 }],
    ['initializeSession', 'estimatedTokens', { sessionId: 's', modelId: SONNET }],
    ['finalizeSession', 'actualTokens', { sessionId: SESSION, cachedInputTokens: 1 }],
    ['finalizeSession', 'actualTokens', { sessionId: SESSION, actualTokens: 1, outputTokens: 1 }],
  ])('%s refuses %s beside, or without all of, the classes of tokens', async (name, field, body) => {
    await changingNothing(async () =>
      expectProblem(await post(name, JSON.stringify(body)), 400, { code: 'validation.failed', field }),
    );
  });
});

describe('a text', () => {
  it.each([
    ['allocateCredits', 'userId'],
    ['deductCredits', 'userId'],
    ['calculateCredits', 'modelId'],
    ['initializeSession', 'sessionId'],
    ['initializeSession', 'modelId'],
    ['initializeSession', 'userId'],
    ['reportProgress', 'sessionId'],
    ['finalizeSession', 'sessionId'],
    ['abortSession', 'sessionId'],
    ['recordUsage', 'service'],
    ['recordUsage', 'operation'],
    ['recordUsage', 'userId'],
    ['createPricingRule', 'modelId'],
    ['createPricingAlias', 'alias'],
    ['createPricingAlias', 'modelId'],
    ['createOrganisation', 'id'],
    ['createOrganisation', 'name'],
    ['addMember', 'userId'],
    ['createUnit', 'name'],
    ['allocateCredits', 'username'],
    ['allocateCredits', 'email'],
  ])('%s refuses %s that is no id', async (name, field) => {
    await expectFieldRefused(name, field, NO_IDS);
  });

  it.each([
    ['allocateCredits', 'userId'],
    ['deductCredits', 'userId'],
    ['initializeSession', 'userId'],
    ['addMember', 'userId'],
  ])('%s refuses %s that no user may bear', async (name, field) => {
    await expectFieldRefused(name, field, ['"all"', '"Mine"', '"service:internal"', text('x'.repeat(51))]);
  });

  it('allocateCredits refuses an invalid email', async () => {
    const none = ['"alice"', '"@"', '"a@"', '"@b"', '"a b@c"', '"a@b@c"'];
    await expectFieldRefused('allocateCredits', 'email', none);
  });

  it.each([
    ['allocateCredits', []],
    ['deductCredits', ['""']],
    ['revokeAllocation', []],
  ])('%s refuses notes that cannot be kept', async (name, more) => {
    await expectFieldRefused(name, 'notes', [...NO_TEXTS, text('x'.repeat(1001)), ...more]);
  });

  it('finalizeSession refuses success that is neither true nor false', async () => {
    await expectFieldRefused('finalizeSession', 'success', ['"true"', '1', '0', '[]', '{}']);
  });

  it('keeps emoji, line breaks and every script exactly', async () => {
    const notes = 'Grüße 👩‍👩‍👧‍👦 \n\t"quoted" \\ \u2028 日本語 \ufeff';
    const metadata = {
      '🔑': ['🎉', 'e\u0301', { 'a.b': null, '': -0.5, deep: [[[true]]] }],
      toString: 'mine',
    };
    const allocated = await root.post('/api/credits/allocate', { userId: alice.userId, credits: 1, notes });
    expect(allocated.body.notes).toBe(notes);
    const ledger = await alice.get<{ items: object[] }>('/api/credits/ledger?limit=1');
    expect(ledger.body.items[0]).toMatchObject({ notes });
    const usage = { service: 'dienst-ß', operation: 'op/😀', credits: 1, metadata };
    expect((await alice.post('/api/usage/record', usage)).body).toMatchObject(usage);
    const records = await alice.get<{ items: { metadata: object }[] }>('/api/usage/records?limit=1');
    expect(records.body.items[0]?.metadata).toEqual(metadata);
    expect((await initialize(alice, 'стрим-🚀')).body.sessionId).toBe('стрим-🚀');
    expect((await alice.get<object[]>('/api/streaming-sessions/active')).body).toMatchObject([
      { sessionId: 'стрим-🚀' },
    ]);
  });
});

describe('a time', () => {
  it.each([
    ['recordUsage', 'timestamp', [text('2999-01-01T00:00:00Z')]],
    ['createPricingRule', 'effectiveFrom', [text('2000-01-01T00:00:00Z')]],
    ['createPricingRule', 'effectiveTo', [text('2000-01-01T00:00:00Z')]],
  ])('%s refuses %s that is none, or none that may be', async (name, field, more) => {
    await expectFieldRefused(name, field, [...NO_TIMES, ...more]);
  });

  it('createPricingRule refuses an end that is not after the start', async () => {
    const body = { ...GOOD.createPricingRule, effectiveFrom: '2050-01-01T00:00:00Z' };
    const answer = await post('createPricingRule', jsonWith(body, 'effectiveTo', '"2050-01-01T00:00:00Z"'));
    expectProblem(answer, 400, { field: 'effectiveTo' });
  });
});

describe('a decimal', () => {
  it.each([
    'pricePerThousandTokens',
    'pricePerThousandInputTokens',
    'pricePerThousandOutputTokens',
    'pricePerThousandCachedInputTokens',
    'providerCostPerThousandTokens',
    'providerCostPerThousandInputTokens',
    'providerCostPerThousandOutputTokens',
    'providerCostPerThousandCachedInputTokens',
  ])('createPricingRule refuses %s that is none, or too large, or too fine', async (field) => {
    await expectFieldRefused('createPricingRule', field, NO_DECIMALS);
  });

  it('finalizeSession refuses an invalid providerCostUsd', async () => {
    await expectFieldRefused('finalizeSession', 'providerCostUsd', NO_DECIMALS);
  });
});

describe('metadata', () => {
  it.each([
    ['that is no object', ['[]', '"x"', '5', 'true']],
    ['nested nine deep', [nested(9), `{"a":${'['.repeat(9)}${']'.repeat(9)}}`]],
    ['nested thousands deep', [nested(15_000), `{"a":${'['.repeat(45_000)}${']'.repeat(45_000)}}`]],
    ['larger than 16 kB', [`{"a":${text('x'.repeat(16_384))}}`, `{"a":${text('😀'.repeat(4100))}}`]],
    ['with NUL', ['{"a":"\\u0000"}', '{"\\u0000":1}', '{"a":["b\\u0000"]}']],
    ['with a lone surrogate', ['{"a":"\\ud800"}', '{"\\udfff":1}']],
    [
      'with a number that is too large',
      ['{"a":1e400}', '{"a":[-1e400]}', '{"a":1e21}', '{"a":[{"b":-1e308}]}'],
    ],
    ['with a number too near to 0', ['{"a":9e-22}', '{"a":[-5e-324]}']],
    ['of more than 256 values', [fields(257), `{"a":{"b":[${'[],'.repeat(254)}{}]}}`]],
    [
      'with keys that would be dropped',
      ['{"__proto__":1}', '{"a":{"constructor":1}}', '{"a":[{"prototype":1}]}'],
    ],
  ])('%s is refused', async (_name, values) => {
    await expectFieldRefused('recordUsage', 'metadata', values);
  });

  it.each([
    ['with 501 keys', fields(501)],
    ['with 501 keys below', `{"a":[{"b":${fields(501)}}]}`],
    ['with a list of 10,001 items', `{"a":[${'0,'.repeat(10_000)}0]}`],
    ['of 46,000 lists in lists', `{"a":${LISTS}}`],
  ])('%s is refused before it is read', async (_name, json) => {
    await expectFieldRefused('recordUsage', 'metadata', [json]);
  });

  it('of just the limits is kept', async () => {
    const values = [1e20, 1e-21, -0.5, 0, ...Array.from({ length: 242 }, () => null)];
    const metadata = { ...(JSON.parse(nested(8)) as object), text: 'x'.repeat(14_000), values };
    const answer = await alice.post('/api/usage/record', {
      service: 's',
      operation: 'o',
      credits: 0,
      metadata,
    });
    expect(answer.status).toBe(201);
    expect(answer.body.metadata).toEqual(metadata);
  });
});

describe('a request of too many values', () => {
  const metadata = `{"service":"s","operation":"o","credits":0,"metadata":${fields(9000)}}`;
  it.each([
    ['the body', fields(9500), 'body'],
    ['an unknown field', `{"a":${LISTS}}`, 'a'],
    ['metadata', metadata, 'metadata'],
  ])('in %s is refused at once, and keeps no other request waiting', async (_name, body, field) => {
    const began = performance.now();
    const [other, ...refused] = await Promise.all([
      alice.get('/api/credits/balance'),
      ...Array.from({ length: 20 }, () => post('recordUsage', body)),
    ]);
    expect(other.status).toBe(200);
    for (const answer of refused) {
      expectProblem(answer, 400, { code: 'validation.failed', field });
      expect(answer.text).toContain('a request has at most 500 in all');
    }
    // Each took the process up to a third of a second and more.
    expect(performance.now() - began).toBeLessThan(4000);
  });

  it('in a query is refused', async () => {
    const query = Array.from({ length: 900 }, (_, index) => `f${index}`).join('&');
    expectProblem(await alice.get(`/api/usage/stats?${query}`), 400, { field: 'query' });
  });
});

const POSTS = Object.keys(GOOD).filter((name) => !name.includes(' '));

describe.each(POSTS)('the body of %s', (name) => {
  it('is refused when it is not JSON', async () => {
    const malformed = [
      '{',
      '}',
      '{]',
      "{'a':1}",
      '{"a":1,}',
      '{"a":NaN}',
      'undefined',
      '{"a":1}{',
      '{"a":"\n"}',
      '\ufeff\ufeff{}',
    ];
    await changingNothing(async () => {
      for (const body of malformed)
        expectProblem(await post(name, body), 400, {
          code: 'request.malformed',
          message: 'The body is not valid JSON',
          field: 'body',
        });
    });
  });

  it('is refused when it is no object', async () => {
    await changingNothing(async () => {
      for (const body of ['[]', '[{}]', '"text"', 'null', '42', 'true'])
        expectProblem(await post(name, body), 400, { field: 'body' });
    });
  });

  it('is refused with an unknown field, by its name', async () => {
    const unknown = [
      'surprise',
      '__proto__',
      'constructor',
      'prototype',
      'toString',
      'hasOwnProperty',
      'Credits',
    ];
    await changingNothing(async () => {
      for (const field of unknown) {
        const answer = await post(name, jsonWith(GOOD[name] as object, field, '{"isAdmin":true}'));
        expect(answer.status, `${field}: ${answer.text}`).toBe(400);
        expectProblem(answer, 400, { code: 'validation.failed', field });
      }
    });
  });

  it('is refused with 413 above 100 kB', async () => {
    const large = jsonWith(GOOD[name] as object, 'notes', text('x'.repeat(110_000)));
    await changingNothing(async () =>
      expectProblem(await post(name, large), 413, { code: 'request.too_large', field: 'body' }),
    );
  });

  it('is refused with 415 when it is not sent as JSON', async () => {
    const body = JSON.stringify(GOOD[name]);
    const unsupported: Record<string, string>[] = [
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'multipart/form-data; boundary=x' },
      { 'content-type': 'application/xml' },
      { 'content-type': '' },
      { 'content-type': 'application/json; charset=latin1' },
      { 'content-encoding': 'zip' },
    ];
    await changingNothing(async () => {
      for (const headers of unsupported)
        expectProblem(await post(name, body, headers), 415, { code: 'request.unsupported_media_type' });
    });
  });

  it('is refused when a field that is required is missing', async () => {
    const { body } = operations.get(name) as DocumentedOperation;
    await changingNothing(async () => {
      for (const field of body?.required ?? []) {
        const { [field]: _, ...rest } = GOOD[name] as Record<string, unknown>;
        expectProblem(await post(name, JSON.stringify(rest)), 400, { code: 'validation.failed', field });
      }
    });
  });
});

it('every documented POST with a body is among the bodies above', () => {
  const posts = [...operations.values()].filter(({ method, body }) => method === 'POST' && body);
  expect(POSTS.sort()).toEqual(posts.map(({ operationId }) => operationId).sort());
});

interface BadRequest {
  path: string;
  method?: string;
  field: string;
}

async function expectPathRefused({ path, method = 'GET', field }: BadRequest): Promise<void> {
  await changingNothing(async () => {
    const answer = await root.send<object>(method, path, undefined, {});
    expectProblem(answer, 400, { field });
  });
}

describe('a path', () => {
  const users = [
    '/api/credits/balance/',
    '/api/credits/ledger/',
    '/api/usage/stats/',
    '/api/usage/records/user/',
  ].concat('/api/streaming-sessions/active/');

  it.each([...users, '/api/pricing/', '/api/pricing/a/', '/api/nowhere/'])(
    'that begins %s is refused when its percent-encoding is broken',
    async (prefix) => {
      for (const part of ['%zz', '%E0%A4%A', '%', '%ff', '%zzJSON', 'a%2'])
        for (const method of ['GET', 'DELETE']) {
          const answer = await root.send<object>(method, prefix + part, undefined, {});
          // A missing route may be reported before its encoding.
          if (answer.status === 404) expectProblem(answer, 404, { code: 'route.not_found' });
          else expectProblem(answer, 400, { code: 'request.malformed', field: 'path' });
        }
    },
  );

  it.each(users)('that begins %s is refused when no user can be named so', async (prefix) => {
    const names = ['x'.repeat(51), 'service:internal', '%00', 'a%00b', '%20a', '%0a', '%7f'];
    // Elsewhere it is everyone, for admins.
    if (!/active/.test(prefix)) names.push('all');
    for (const name of names) await expectPathRefused({ path: prefix + name, field: 'userId' });
  });

  it.each(['abc', '0', '-1', '1.5', '1e3', '0x10', '9007199254740993', '9'.repeat(40), '%00', '%201'])(
    'is refused with %s for a number',
    async (id) => {
      await changingNothing(async () => {
        const revoke = await root.post(`/api/credits/allocations/${id}/revoke`);
        expectProblem(revoke, 400, { field: 'id' });
        expectProblem(await root.delete(`/api/pricing/${id}`), 400, { field: 'id' });
      });
    },
  );

  it.each(['x'.repeat(101), '%00', '%20a', 'a%0Ab'])('is refused with %s for a model', async (id) => {
    await expectPathRefused({ path: `/api/pricing/${id}`, field: 'modelId' });
  });
});

describe('a query', () => {
  const pages = [
    '/api/credits/ledger',
    '/api/credits/ledger/root',
    '/api/usage/records',
    '/api/usage/records/user/root',
  ].concat('/api/pricing', '/api/integrations/litellm/quarantine');
  const ranges = [
    '/api/usage/stats',
    '/api/usage/stats/root',
    '/api/usage/system-stats',
    '/api/usage/records',
  ];

  it.each(pages)('of %s is refused with an invalid page', async (path) => {
    for (const limit of ['0', '201', 'abc', '-1', '1.5', '1e2', '', '%20', '1&limit=2', '9'.repeat(30)])
      await expectPathRefused({ path: `${path}?limit=${limit}`, field: 'limit' });
    for (const cursor of [
      '',
      '!',
      'abc',
      'LTE',
      'MTIz%0a',
      'x'.repeat(50),
      'OTk5OTk5OTk5OTk5OTk5OQ',
      'MQ&cursor=Mg',
    ])
      await expectPathRefused({ path: `${path}?cursor=${cursor}`, field: 'cursor' });
  });

  it.each(ranges)('of %s is refused with an invalid day or time', async (path) => {
    const none = [
      '2026-02-30',
      'yesterday',
      '1767225600',
      '2026-11-21T25:00:00',
      '2026-1-1',
      '%20',
      '2026-11-21%00',
    ];
    for (const field of ['startDate', 'endDate'])
      for (const time of [...none, '2026-01-01&startDate=2026-01-02&endDate=2026-01-02&endDate=2026-01-03'])
        await expectPathRefused({ path: `${path}?${field}=${time}`, field });
    const reversed = `${path}?startDate=2026-02-02&endDate=2026-02-01`;
    await expectPathRefused({ path: reversed, field: 'endDate' });
  });

  it.each(ranges)('of %s takes the first and the last day there is', async (path) => {
    const answer = await root.get(`${path}?startDate=1970-01-01&endDate=9999-12-31`);
    expect(answer.status, answer.text).toBe(200);
  });

  it.each([...pages, '/api/streaming-sessions/active', '/api/streaming-sessions/active/all', ...ranges])(
    'of %s is refused with an unknown parameter',
    async (path) => {
      for (const field of ['surprise', '__proto__', 'constructor', 'toString', 'a[b]'])
        await expectPathRefused({ path: `${path}?${encodeURIComponent(field)}=1`, field });
    },
  );

  it.each([
    ['/api/streaming-sessions/active', 'limit', ['0', '10001', 'abc', '1&limit=2']],
    ['/api/streaming-sessions/active/all', 'limit', ['0', '10001', 'abc', '1&limit=2']],
    ['/api/usage/system-stats', 'top', ['-1', '1001', 'abc', '1&top=2']],
    ['/api/usage/records', 'service', ['', '%00', 'x'.repeat(51), 'a&service=b']],
    ['/api/usage/records', 'operation', ['', '%00', 'x'.repeat(101), 'a&operation=b']],
    ['/api/credits/balance', 'userId', ['', '%00', 'all', 'x'.repeat(51), 'root&userId=root']],
  ])('of %s is refused with a wrong %s', async (path, field, values) => {
    for (const value of values) await expectPathRefused({ path: `${path}?${field}=${value}`, field });
  });
});

describe('an Idempotency-Key', () => {
  const idempotent = ['allocateCredits', 'deductCredits', 'recordUsage'];

  it.each(idempotent)('of %s is refused when it is empty, too long or not printable', async (name) => {
    await changingNothing(async () => {
      for (const key of ['', ' ', 'x'.repeat(256), 'ké', 'a\tb', '\u00a0']) {
        const answer = await post(name, JSON.stringify(GOOD[name]), { 'idempotency-key': key });
        expectProblem(answer, 400, { code: 'validation.failed', field: 'Idempotency-Key' });
      }
    });
  });

  it('of 255 printable characters is taken', async () => {
    const body = JSON.stringify({ userId: alice.userId, credits: 1 });
    const headers = { 'idempotency-key': `~ ${'x'.repeat(252)}!` };
    const before = (await balanceOf(alice)).totalCredits;
    expect((await post('allocateCredits', body, headers)).status).toBe(201);
    const again = await post('allocateCredits', body, headers);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect((await balanceOf(alice)).totalCredits).toBe(before + 1);
  });
});

/** Values that have broken services before, as JSON text. */
const NASTY = [
  'null',
  'true',
  '""',
  '" "',
  text('x'.repeat(300)),
  text('x'.repeat(50)),
  '"\\u0000"',
  '"\\ud800"',
  '"😀"',
  '"__proto__"',
  '"all"',
  `"'; DROP TABLE user_accounts; --"`,
  '"%00%s%n{{7*7}}"',
  '"NaN"',
  '"9999-12-31T23:59:59.999999999Z"',
  '"2026-11-20T24:00:00+23:59"',
  '"1970-01-01T00:00:00-23:59"',
  '"999999.999999999999999999"',
  '-1',
  '0',
  '1',
  '1.5',
  '1e400',
  '-0',
  '1e12',
  '1e9',
  '9007199254740993',
  '[]',
  '[[["a"]]]',
  '{}',
  '{"__proto__":{"x":1},"constructor":{"prototype":1}}',
  '{"length":1e9,"then":"x","toJSON":"x"}',
  nested(5000),
];

/** What an operation needs beyond the document's examples so that it gets past its first checks. */
async function fuzzBase(operation: DocumentedOperation): Promise<Record<string, unknown>> {
  const id = operation.operationId;
  const base = { ...exampleBody(operation), ...GOOD[id] };
  if ('userId' in base) Object.assign(base, { userId: 'root' });
  if (id === 'initializeSession') return { ...base, sessionId: freshUser('fuzz') };
  if (!['reportProgress', 'finalizeSession', 'abortSession'].includes(id)) return base;
  const sessionId = freshUser('fuzz');
  await initialize(root, sessionId, { estimatedTokens: 1 });
  return { ...base, sessionId };
}

/** Sends and says what is wrong with the answer, if anything is. */
async function faultOf(name: string, send: () => Promise<Answer<object>>): Promise<string[]> {
  try {
    const answer = await send();
    if (answer.status >= 400) expectProblem(answer, answer.status);
    return answer.status >= 500 ? [`${name} → ${answer.status} ${answer.text}`] : [];
  } catch (error) {
    return [`${name} → ${(error as Error).message}`];
  }
}

describe('any value in any place', () => {
  it('never makes a fault of a POST, and the books stay sound', async () => {
    const faults: string[] = [];
    for (const operation of operations.values()) {
      if (operation.method !== 'POST') continue;
      for (const field of Object.keys(operation.body?.properties ?? {}))
        for (const json of NASTY) {
          const body = jsonWith(await fuzzBase(operation), field, json);
          const name = `${operation.operationId} ${field}: ${json.slice(0, 60)}`;
          const path = pathWith(
            operation,
            Object.fromEntries(parametersOf(operation, 'path', placeOf(operation))),
          );
          faults.push(...(await faultOf(name, () => root.post<object>(path, body))));
        }
    }
    expect(faults).toEqual([]);
    await expectSoundBooks(service);
  }, 180_000);

  it('never makes a fault of a path or a query', async () => {
    const nasty = NASTY.map((json) => (json.startsWith('"') ? (JSON.parse(json) as string) : json))
      .filter((value) => value.isWellFormed() && value.length <= 300)
      .concat(
        '2026-11-21',
        '9999-12-31',
        '1970-01-01',
        'MQ',
        'OTAwNzE5OTI1NDc0MDk5MQ',
        '../../etc/passwd',
        '%',
        '..;/',
      );
    const faults: string[] = [];
    for (const operation of operations.values()) {
      if (operation.method === 'POST') continue;
      for (const { in: place, name } of operation.parameters)
        for (const value of nasty) {
          if (place === 'header' || value === '') continue;
          const path = Object.fromEntries(parametersOf(operation, 'path', place === 'path' ? value : 'root'));
          const url = pathWith(operation, path, place === 'query' ? { [name]: value } : {});
          const what = `${operation.method} ${url.slice(0, 120)}`;
          faults.push(...(await faultOf(what, () => root.send(operation.method, url, undefined, {}))));
        }
    }
    expect(faults).toEqual([]);
    await expectSoundBooks(service);
  }, 180_000);

  const parametersOf = (operation: DocumentedOperation, place: string, value: string) =>
    operation.parameters
      .filter((parameter) => parameter.in === place)
      .map(({ name }) => [name, value] as const);
});
