// @module-tag two-instances
// @module-tag pooler
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, HttpClient } from '../support/http-client.js';
import {
  balanceOf,
  countByStatus,
  expectSoundBooks,
  SONNET,
  times,
  userWithCredits,
} from '../support/money.js';
import { documentedOperations } from '../support/operations.js';
import { freshUser, startService, type TestService } from '../support/service.js';

/** POSTs without the header, and why a repeated one does no harm. */
const WITHOUT: Record<string, string> = {
  checkCredits: 'a question',
  calculateCredits: 'a question',
  previewPricing: 'a question',
  verifyApiKey: 'a question',
  initializeSession: 'identified by the session id',
  reportProgress: 'identified by the session id; counts never go down',
  finalizeSession: 'identified by the session id',
  abortSession: 'identified by the session id',
  archiveOrganisation: 'an archived organisation is archived',
  takeLitellmLogs: 'each event is identified by its call id',
  replayQuarantine: 'each event is identified by its call id, and leaves the quarantine once',
  testAlertRule: 'creates and moves nothing; two requests mean two messages',
  testWebhook: 'creates and moves nothing; two requests mean two messages',
  replayWebhookDelivery: 'delivers what was delivered before; receivers drop repeats by their id',
  replayWebhook: 'delivers what was given up; what waits already is not doubled',
};

let service: TestService;
let root: HttpClient;
beforeAll(async () => {
  service = await startService({ WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on' });
  root = service.as('root', { role: 'admin' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

const once = (key: string) => ({ 'idempotency-key': key });

it('each POST takes an Idempotency-Key, or is known to need none', async () => {
  const operations = [...(await documentedOperations(service)).values()].filter(
    ({ method }) => method === 'POST',
  );
  const without = operations
    .filter(({ parameters }) => !parameters.some(({ name }) => name === 'Idempotency-Key'))
    .map(({ operationId }) => operationId);
  expect(without.sort()).toEqual(Object.keys(WITHOUT).sort());
  expect(operations.length).toBeGreaterThan(without.length + 9);
});

const fresh = (prefix: string) => freshUser(prefix);
const price = () => ({ modelId: fresh('model'), pricePerThousandTokens: '3' });
const endpoint = { url: 'https://127.0.0.1/hook' };
async function organisation(): Promise<string> {
  const made = await root.post('/api/organisations', { name: fresh('Acme') });
  return `/api/organisations/${String(made.body.id)}`;
}

type Call = (body: object, headers: Record<string, string>) => Promise<Answer>;
interface Case {
  call: Call;
  body: object;
  other: object;
}

/** What creates or moves, each with a request and another one. */
const CASES: [name: string, prepare: () => Promise<Case>][] = [
  [
    'an allocation',
    async () => {
      const { userId } = await userWithCredits(service);
      const body = { userId, credits: 5 };
      return {
        call: (sent, headers) => root.post('/api/credits/allocate', sent, headers),
        body,
        other: { ...body, credits: 6 },
      };
    },
  ],
  [
    'a deduction',
    async () => {
      const { userId } = await userWithCredits(service, 100);
      const body = { userId, credits: 5, notes: 'x' };
      return {
        call: (sent, headers) => root.post('/api/credits/deduct', sent, headers),
        body,
        other: { ...body, credits: 6 },
      };
    },
  ],
  [
    'a revocation of a lot',
    async () => {
      const lots = (await balanceOf(await userWithCredits(service, 100))).activeAllocations;
      const path = `/api/credits/allocations/${lots[0]?.id}/revoke`;
      return {
        call: (sent, headers) => root.post(path, sent, headers),
        body: { notes: 'a' },
        other: { notes: 'b' },
      };
    },
  ],
  [
    'a usage record',
    async () => {
      const user = await userWithCredits(service);
      const body = { service: 's', operation: 'o', credits: 3 };
      return {
        call: (sent, headers) => user.post('/api/usage/record', sent, headers),
        body,
        other: { ...body, credits: 4 },
      };
    },
  ],
  [
    'a price',
    () => {
      const body = price();
      const other = { ...body, pricePerThousandTokens: '4' };
      return Promise.resolve({
        call: (sent, headers) => root.post('/api/pricing', sent, headers),
        body,
        other,
      });
    },
  ],
  [
    'an import of prices',
    () => {
      const [model, cost] = [
        fresh('imported'),
        { input_cost_per_token: 0.000001, output_cost_per_token: 0.000002 },
      ];
      return Promise.resolve({
        call: (sent, headers) => root.post('/api/pricing/import', sent, headers),
        body: { [model]: cost },
        other: { [model]: { ...cost, output_cost_per_token: 0.000003 } },
      });
    },
  ],
  [
    'a webhook',
    () =>
      Promise.resolve({
        call: (sent, headers) => root.post('/api/webhooks', sent, headers),
        body: endpoint,
        other: { ...endpoint, description: 'another' },
      }),
  ],
  [
    'a budget',
    () => {
      const body = { scope: 'tag', scopeId: `t=${fresh('tag')}`, unit: 'credits', window: 'day', amount: 5 };
      return Promise.resolve({
        call: (sent, headers) => root.post('/api/budgets', sent, headers),
        body,
        other: { ...body, amount: 6 },
      });
    },
  ],
  [
    'a raise of a budget',
    async () => {
      const budget = {
        scope: 'tag',
        scopeId: `t=${fresh('tag')}`,
        unit: 'credits',
        window: 'day',
        amount: 5,
      };
      const made = await root.post('/api/budgets', budget);
      return {
        call: (sent, headers) => root.post(`/api/budgets/${String(made.body.id)}/raises`, sent, headers),
        body: { amount: 1, reason: 'r' },
        other: { amount: 2, reason: 'r' },
      };
    },
  ],
  [
    'an organisation',
    () =>
      Promise.resolve({
        call: (sent, headers) => root.post('/api/organisations', sent, headers),
        body: { name: fresh('Acme') },
        other: { name: fresh('Other') },
      }),
  ],
  [
    'a member',
    async () => {
      const path = await organisation();
      return {
        call: (sent, headers) => root.post(`${path}/members`, sent, headers),
        body: { userId: 'bob', role: 'member' },
        other: { userId: 'bob', role: 'admin' },
      };
    },
  ],
  [
    'a unit',
    async () => {
      const path = await organisation();
      return {
        call: (sent, headers) => root.post(`${path}/units`, sent, headers),
        body: { name: 'Research' },
        other: { name: 'Sales' },
      };
    },
  ],
  [
    'a new secret of a webhook',
    async () => {
      const made = await root.post('/api/webhooks', endpoint);
      const path = `/api/webhooks/${String(made.body.id)}/rotate-secret`;
      return {
        call: (sent, headers) => root.post(path, sent, headers),
        body: {},
        other: { overlapSeconds: 5 },
      };
    },
  ],
];

describe.each(CASES)('%s', (_, prepare) => {
  it('is made once under one key, also at the same time, and each gets the same answer; another request is 422', async () => {
    const { call, body, other } = await prepare();
    const key = once(fresh('key'));
    const answers = await times(5, () => call(body, key));
    answers.push(await call(body, key));
    const [first] = answers;
    expect(first?.status, first?.text).toBeLessThan(300);
    expect(countByStatus(answers)).toEqual({ [first?.status as number]: 6 });
    for (const answer of answers) expect(answer.body).toEqual(first?.body);
    const replayed = answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true');
    expect(replayed).toHaveLength(5);
    const refused = await call(other, key);
    expect([refused.status, refused.body.code]).toEqual([422, 'idempotency.mismatch']);
    // The same for another caller's key, or none, is another one.
    const again = await call(body, once(fresh('key')));
    expect(again.headers.get('idempotency-replayed')).toBeNull();
  });
});

it('a webhook is made once, and its secret is nowhere in the clear', async () => {
  const key = fresh('key');
  const [made] = await times(4, () =>
    root.post('/api/webhooks', { ...endpoint, description: key }, once(key)),
  );
  const { rows } = await service.owner.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM webhook_endpoints WHERE description = $1',
    [key],
  );
  expect(rows).toEqual([{ count: 1 }]);
  const kept = await service.owner.query<{ row: string }>('SELECT i::text AS row FROM idempotency_keys i');
  expect(kept.rows.map(({ row }) => row).join()).not.toContain(made?.body.secret);
});

describe('the identity of a request', () => {
  it('null is as good as left out', async () => {
    const user = await userWithCredits(service);
    const body = { service: 's', operation: 'o', credits: 3 };
    const first = await user.post(
      '/api/usage/record',
      { ...body, metadata: { a: 1, b: null } },
      once('null'),
    );
    const second = await user.post('/api/usage/record', { ...body, metadata: { a: 1 } }, once('null'));
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
  });

  it('is of the user whom a trusted service names, and not of the user’s own', async () => {
    const [alice, bob] = [await userWithCredits(service), await userWithCredits(service)];
    const record = (client: HttpClient, userId?: string) =>
      client.post('/api/usage/record', { service: 's', operation: 'o', credits: 3, userId }, once('same'));
    const answers = [
      await record(service.internal(), alice.userId),
      await record(service.internal(), bob.userId),
      await record(alice),
      await record(service.internal(), alice.userId),
    ];
    expect(countByStatus(answers)).toEqual({ 201: 4 });
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(3);
    expect(answers[3]?.body).toEqual(answers[0]?.body);
  });

  it('is of the account that it is about: one key for two accounts is two requests', async () => {
    const users = await times(2, () => userWithCredits(service, 100));
    const key = { 'idempotency-key': 'top-up' };
    const allocate = ({ userId }: HttpClient) =>
      root.post('/api/credits/allocate', { userId, credits: 7 }, key);
    for (const user of users) expect((await allocate(user)).headers.get('idempotency-replayed')).toBeNull();
    for (const user of users) expect((await allocate(user)).headers.get('idempotency-replayed')).toBe('true');
    for (const user of users) expect(await balanceOf(user)).toMatchObject({ totalCredits: 107 });
  });

  it('a repeated requestId keeps its Idempotency-Key as well', async () => {
    const user = await userWithCredits(service, 100);
    const charge = (more: object, headers = {}) =>
      user.post('/api/usage/charge', { requestId: 'r', modelId: SONNET, tokens: 1000, ...more }, headers);
    expect((await charge({})).status).toBe(201);
    expect((await charge({}, once('late'))).status).toBe(200);
    const other = await charge({ requestId: 'r-2' }, once('late'));
    expect([other.status, other.body.code]).toEqual([422, 'idempotency.mismatch']);
    expect((await balanceOf(user)).totalCredits).toBe(97);
  });
});

it.each([
  ['a record', '/api/usage/record', { service: 's', operation: 'o', credits: 1 }],
  ['a charge', '/api/usage/charge', { requestId: 'r', modelId: SONNET, tokens: 1000 }],
])(
  'the answer of %s is kept without its metadata, and is the same when it is repeated',
  async (_, path, facts) => {
    const user = await userWithCredits(service, 10);
    const metadata = { text: randomBytes(8000).toString('hex'), list: [1, null, {}], metadata: 'x' };
    const call = (key: string) => user.post(path, { ...facts, metadata }, once(key));
    const first = await call('first');
    expect(first.status, first.text).toBe(201);
    expect(JSON.parse(first.text)).toMatchObject(
      path.endsWith('charge') ? { record: { metadata } } : { metadata },
    );
    expect((await call('first')).body).toEqual(first.body);
    if (path.endsWith('charge')) {
      // Under another key it is the same call still.
      for (let n = 0; n < 2; n++) expect((await call('second')).body).toEqual(first.body);
    }
    const { rows } = await service.owner.query<{ bytes: number }>(
      `SELECT max(octet_length(response::text)) AS bytes FROM idempotency_keys WHERE caller_id LIKE '%' || $1 || '%'`,
      [user.userId],
    );
    expect(rows[0]?.bytes).toBeGreaterThan(100);
    expect(rows[0]?.bytes).toBeLessThan(2000);
  },
);
