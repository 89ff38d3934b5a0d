import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActivitySweeper } from '../../src/activity/activity.sweeper.js';
import { Changes } from '../../src/common/database/changes.js';
import { noteActivity } from '../../src/common/database/activity.js';
import { parseCsv } from '../support/csv.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { expectSoundBooks, userWithCredits } from '../support/money.js';
import { documentedOperations } from '../support/operations.js';
import { organisation, patch, type TestOrganisation } from '../support/organisations.js';
import { freshUser, INTERNAL_KEY, startService, type TestService } from '../support/service.js';

const ACTIVITY = '/api/activity';
const REQUEST_ID = 'a-request-of-the-test';

interface Entry {
  id: number;
  at: string;
  accountId: string | null;
  action: string;
  subject: string;
  actor: string;
  actorRole: string;
  address: string | null;
  requestId: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}
interface Page {
  items: Entry[];
  nextCursor: string | null;
}

let service: TestService;
let root: HttpClient;
let acme: TestOrganisation;
let user: HttpClient;
/** What only the caller of a request knows: none of it may be in the log. */
const secrets: string[] = [INTERNAL_KEY, 'token-of-the-webhook', 'token-of-the-alert-rule'];
beforeAll(async () => {
  service = await startService({ WEBHOOK_SECRETS_KEY: '' });
  root = service.as(freshUser('root'), { role: 'admin' });
  acme = await organisation(service);
  user = await userWithCredits(service, 1000);
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

async function list(client: HttpClient, query = ''): Promise<Entry[]> {
  const { status, text, body } = await client.get<Page>(`${ACTIVITY}${query}`);
  expect(status, text).toBe(200);
  return body.items;
}

/** Requests that change nothing that people set: they ask, or they meter what is in the ledger and the usage records. */
const NO_ACTIVITY = [
  'abortSession',
  'calculateCredits',
  'chargeUsage',
  'checkCredits',
  'finalizeSession',
  'initializeSession',
  'previewPricing',
  'recordUsage',
  'reportProgress',
  'takeLitellmLogs',
  'testAlertRule',
  'testWebhook',
  'verifyApiKey',
];

describe('every route that changes something', () => {
  /** The ids of what the requests before have made. */
  const made: Record<string, number | string> = {};
  const keep = async (name: string, answering: Promise<Answer>, id = 'id') => {
    const answer = await answering;
    made[name] = answer.body[id] as number;
    for (const secret of ['key', 'secret'])
      if (typeof answer.body[secret] === 'string') secrets.push(answer.body[secret]);
    return answer;
  };
  const member = freshUser('member');
  const organisationId = `org:${freshUser('o')}`;
  /** Each as its operation is called, in this order. */
  const changes: Record<string, [action: string, () => Promise<Answer>]> = {
    allocateCredits: [
      'credits.allocated',
      () =>
        keep('lot', root.post('/api/credits/allocate', { userId: user.userId, credits: 50, notes: 'gift' })),
    ],
    deductCredits: [
      'credits.deducted',
      () => root.post('/api/credits/deduct', { userId: user.userId, credits: 7, notes: 'a mistake' }),
    ],
    revokeAllocation: [
      'credits.revoked',
      () => root.post(`/api/credits/allocations/${made.lot}/revoke`, { notes: 'taken back' }),
    ],
    setLowThreshold: [
      'threshold.set',
      () => user.send('PUT', '/api/credits/low-threshold', { threshold: 5 }, {}),
    ],
    setUserLowThreshold: [
      'threshold.set',
      () => root.send('PUT', `/api/credits/low-threshold/${user.userId}`, { threshold: 9 }, {}),
    ],
    createOrganisation: [
      'organisation.created',
      () => root.post('/api/organisations', { id: organisationId, name: 'Beta' }),
    ],
    renameOrganisation: [
      'organisation.renamed',
      () => patch(root, `/api/organisations/${organisationId}`, { name: 'Gamma' }),
    ],
    archiveOrganisation: [
      'organisation.archived',
      () => root.post(`/api/organisations/${organisationId}/archive`),
    ],
    addMember: [
      'member.added',
      () => acme.owner.post(`${acme.path}/members`, { userId: member, role: 'member' }),
    ],
    changeMember: [
      'member.changed',
      () => patch(acme.owner, `${acme.path}/members/${member}`, { role: 'billing' }),
    ],
    removeMember: ['member.removed', () => acme.owner.delete(`${acme.path}/members/${member}`)],
    createUnit: ['unit.created', () => keep('unit', acme.owner.post(`${acme.path}/units`, { name: 'A' }))],
    changeUnit: ['unit.changed', () => patch(acme.owner, `${acme.path}/units/${made.unit}`, { name: 'B' })],
    deleteUnit: ['unit.deleted', () => acme.owner.delete(`${acme.path}/units/${made.unit}`)],
    createBudget: [
      'budget.created',
      () =>
        keep(
          'budget',
          acme.owner.post('/api/budgets', {
            accountId: acme.id,
            scope: 'account',
            unit: 'credits',
            window: 'day',
            amount: 100,
          }),
        ),
    ],
    updateBudget: [
      'budget.changed',
      () => patch(acme.owner, `/api/budgets/${made.budget}?accountId=${acme.id}`, { amount: 200 }),
    ],
    raiseBudget: [
      'budget.raised',
      () =>
        acme.owner.post(`/api/budgets/${made.budget}/raises?accountId=${acme.id}`, {
          amount: 10,
          reason: 'a demo',
        }),
    ],
    deleteBudget: [
      'budget.deleted',
      () => acme.owner.delete(`/api/budgets/${made.budget}?accountId=${acme.id}`),
    ],
    reviewUsage: ['usage.reviewed', () => review()],
    createPricingRule: [
      'price.created',
      () => keep('price', root.post('/api/pricing', { modelId: 'm-1', pricePerThousandTokens: '4' })),
    ],
    createPricingAlias: [
      'price_alias.created',
      () => keep('alias', root.post('/api/pricing/aliases', { alias: 'm-2', modelId: 'm-1' })),
    ],
    deletePricingAlias: ['price_alias.deleted', () => root.delete(`/api/pricing/aliases/${made.alias}`)],
    deletePricingRule: ['price.ended', () => root.delete(`/api/pricing/${made.price}`)],
    importPricing: [
      'prices.imported',
      () =>
        root.post('/api/pricing/import', {
          'm-3': {
            input_cost_per_token: 1e-6,
            output_cost_per_token: 2e-6,
            litellm_provider: 'x',
            mode: 'chat',
          },
        }),
    ],
    createApiKey: [
      'api_key.created',
      () => keep('key', user.post('/api/api-keys', { name: 'k', permissions: ['credits:read'] })),
    ],
    updateApiKey: [
      'api_key.changed',
      () => patch(user, `/api/api-keys/${made.key}`, { name: 'renamed', creditLimit: 5 }),
    ],
    rotateApiKey: [
      'api_key.rotated',
      () => keep('successor', user.post(`/api/api-keys/${made.key}/rotate`, { overlapSeconds: 60 })),
    ],
    revokeApiKey: ['api_key.revoked', () => user.delete(`/api/api-keys/${made.successor}`)],
    replayQuarantine: ['quarantine.retried', () => root.post('/api/integrations/litellm/quarantine/replay')],
    setGatewayAccount: [
      'gateway_account.set',
      () =>
        keep(
          'map',
          root.send(
            'PUT',
            '/api/integrations/litellm/accounts',
            { kind: 'team', externalId: 't', accountId: acme.id },
            {},
          ),
        ),
    ],
    deleteGatewayAccount: [
      'gateway_account.deleted',
      () => root.delete(`/api/integrations/litellm/accounts/${made.map}`),
    ],
    createAlertRule: [
      'alert_rule.created',
      () =>
        keep(
          'rule',
          root.post('/api/alert-rules', {
            name: 'Top up',
            channel: 'slack',
            url: 'https://hooks.example/services/token-of-the-alert-rule',
          }),
        ),
    ],
    updateAlertRule: [
      'alert_rule.changed',
      () => patch(root, `/api/alert-rules/${made.rule}`, { accountId: acme.id }),
    ],
    deleteAlertRule: ['alert_rule.deleted', () => root.delete(`/api/alert-rules/${made.rule}`)],
    createWebhook: [
      'webhook.created',
      () =>
        keep('webhook', root.post('/api/webhooks', { url: 'https://hooks.example/token-of-the-webhook' })),
    ],
    updateWebhook: [
      'webhook.changed',
      () => patch(root, `/api/webhooks/${made.webhook}`, { description: 'for top-ups' }),
    ],
    rotateWebhookSecret: [
      'webhook.secret_rotated',
      () => keep('webhook', root.post(`/api/webhooks/${made.webhook}/rotate-secret`)),
    ],
    replayWebhook: [
      'webhook.replayed',
      () => root.post(`/api/webhooks/${made.webhook}/replay`, { since: '2026-01-01T00:00:00Z' }),
    ],
    replayWebhookDelivery: ['webhook.replayed', () => replayOne(Number(made.webhook))],
    deleteWebhook: ['webhook.deleted', () => root.delete(`/api/webhooks/${made.webhook}`)],
  };

  async function review(): Promise<Answer> {
    const poor = await userWithCredits(service, 1);
    const charged = await poor.post<{ record: { id: number } }>('/api/usage/charge', {
      requestId: freshUser('r'),
      modelId: 'gpt-4o',
      tokens: 1_000_000,
      onInsufficient: 'review',
    });
    const { id } = charged.body.record;
    return root.post(`/api/usage/records/${id}/review`, { action: 'waive', version: 1 });
  }

  async function replayOne(endpointId: number): Promise<Answer> {
    await service.owner.query('SELECT events_publish(1000)');
    await user.send('PUT', '/api/credits/low-threshold', { threshold: 100_000 }, {});
    await service.owner.query('SELECT events_publish(1000)');
    const { body } = await root.get<{ items: { id: number }[] }>(`/api/webhooks/${endpointId}/deliveries`);
    return root.post(`/api/webhooks/${endpointId}/deliveries/${body.items[0]?.id}/replay`);
  }

  it('has a case here', async () => {
    const mutating = [...(await documentedOperations(service)).values()].filter(
      ({ method }) => !['GET', 'HEAD'].includes(method),
    );
    expect(mutating.map(({ operationId }) => operationId).sort()).toEqual(
      [...NO_ACTIVITY, ...Object.keys(changes)].sort(),
    );
  });

  it('notes who made it, from where, and what was before and after', async () => {
    for (const [operationId, [action, run]] of Object.entries(changes)) {
      const [newest] = await list(root, '?limit=1');
      const answer = await run();
      expect(answer.status, `${operationId}: ${answer.text}`).toBeLessThan(300);
      const [entry] = await list(root, '?limit=1');
      expect(entry?.id, operationId).not.toBe(newest?.id);
      expect(entry, operationId).toMatchObject({
        action,
        address: expect.stringMatching(/127\.0\.0\.1$/),
        requestId: answer.headers.get('x-request-id'),
      });
      expect(entry?.before ?? entry?.after ?? operationId, operationId).not.toEqual({});
    }
  });

  it('has no secret in the log', async () => {
    const { rows } = await service.owner.query<{ text: string }>(
      `SELECT string_agg(to_jsonb(a)::text, E'\\n') AS text FROM activity a`,
    );
    const { rows: digests } = await service.owner.query<{ key: string }>('SELECT key FROM api_key_digests');
    const { rows: stored } = await service.owner.query<{ secret: string }>(
      'SELECT secret FROM webhook_endpoints',
    );
    const forbidden = [
      ...secrets,
      ...digests.map(({ key }) => key),
      ...stored.map(({ secret }) => secret),
      'whsec_',
      'Bearer ',
    ];
    expect(secrets.length).toBeGreaterThanOrEqual(7);
    expect(forbidden.filter((secret) => rows[0]?.text.includes(secret))).toEqual([]);
  });
});

describe('an entry', () => {
  it('has of a change only what differs', async () => {
    const owner = acme.owner;
    const budget = await acme.budget({ scope: 'account', unit: 'tokens', window: 'day', amount: 5 });
    await patch(owner, `/api/budgets/${budget}?accountId=${acme.id}`, { amount: 6 });
    const [changed, created] = await list(owner, `?accountId=${acme.id}&limit=2`);
    expect(changed).toMatchObject({ subject: String(budget), before: { amount: 5 }, after: { amount: 6 } });
    expect(Object.keys(changed?.after ?? {})).toEqual(['amount']);
    expect(created).toMatchObject({ before: null, after: { amount: 5, unit: 'tokens' } });
  });

  it('is not written by a change that changes nothing, nor by a retry', async () => {
    const body = { userId: user.userId, credits: 3 };
    const count = async () => (await list(root, `?accountId=${user.userId}&limit=200`)).length;
    await root.send('PUT', `/api/credits/low-threshold/${user.userId}`, { threshold: 11 }, {});
    const before = await count();
    await root.send('PUT', `/api/credits/low-threshold/${user.userId}`, { threshold: 11 }, {});
    expect(await count()).toBe(before);
    for (let time = 0; time < 2; time++) {
      const answer = await root.post('/api/credits/allocate', body, { 'idempotency-key': 'once' });
      expect(answer.status, answer.text).toBe(201);
    }
    expect(await count()).toBe(before + 1);
  });

  it('is gone with its change when that is rolled back, and so is the change with it', async () => {
    const origin = { actor: 'x', role: 'admin', address: null, requestId: null } as const;
    const author = { origin } as Parameters<typeof noteActivity>[1];
    const entry = { action: 'price.ended', subject: 'never' } as const;
    const failing = service.get(Changes).transaction('test', async (manager) => {
      await noteActivity(manager, author, entry);
      throw new Error('after it');
    });
    await expect(failing).rejects.toThrow('after it');
    expect(await list(root, '?subject=never')).toEqual([]);
    // A log that cannot be written stops the change.
    await service.owner.query('ALTER TABLE activity ADD CONSTRAINT full_log CHECK (false) NOT VALID');
    const before = await root.get(`/api/credits/balance/${user.userId}`);
    const answer = await root.post('/api/credits/allocate', { userId: user.userId, credits: 3 });
    await service.owner.query('ALTER TABLE activity DROP CONSTRAINT full_log');
    expect(answer.status).toBe(500);
    expect((await root.get(`/api/credits/balance/${user.userId}`)).body).toEqual(before.body);
  });

  it('has the request id that the caller gave', async () => {
    await root.post(
      '/api/credits/allocate',
      { userId: user.userId, credits: 1 },
      { 'x-request-id': REQUEST_ID },
    );
    expect((await list(root, '?limit=1'))[0]?.requestId).toBe(REQUEST_ID);
  });
});

describe('GET /api/activity', () => {
  it('shows users their own account, and owners and admins their organisation', async () => {
    const other = await userWithCredits(service, 10);
    const plain = await acme.member('member');
    const admin = await acme.member('admin');
    expect((await list(user, '?limit=200')).every(({ accountId }) => accountId === user.userId)).toBe(true);
    expect((await list(user)).length).toBeGreaterThan(0);
    for (const client of [acme.owner, admin])
      expect((await list(client, `?accountId=${acme.id}`))[0]).toMatchObject({
        action: 'member.added',
        subject: admin.userId,
      });
    expect((await plain.get(`${ACTIVITY}?accountId=${acme.id}`)).status).toBe(403);
    expect((await user.get(`${ACTIVITY}?accountId=${acme.id}`)).status).toBe(404);
    expect((await user.get(`${ACTIVITY}?accountId=${other.userId}`)).status).toBe(404);
    // A supervisor is no admin.
    expect((await acme.boss.get(`${ACTIVITY}?accountId=${acme.id}`)).status).toBe(404);
    expect((await service.anonymous().get(ACTIVITY)).status).toBe(401);
  });

  it('shows users not from where the platform’s people work', async () => {
    await root.post('/api/credits/allocate', { userId: user.userId, credits: 1 });
    await user.send('PUT', '/api/credits/low-threshold', { threshold: 3 }, {});
    const [own, platform] = await list(user, '?limit=2');
    expect(own).toMatchObject({ actor: user.userId, address: expect.any(String) });
    expect(platform).toMatchObject({
      actor: root.userId,
      actorRole: 'admin',
      address: null,
      requestId: null,
    });
  });

  it('filters, and goes through all pages in their order', async () => {
    const all = await list(root, '?limit=200');
    const [newest, oldest] = [all[0] as Entry, all.at(-1) as Entry];
    for (const [query, isWanted] of [
      [`action=price.created`, ({ action }) => action === 'price.created'],
      [`actor=${user.userId}`, ({ actor }) => actor === user.userId],
      [`accountId=${acme.id}`, ({ accountId }) => accountId === acme.id],
      ['subject=m-1', ({ subject }) => subject === 'm-1'],
      [`from=${newest.at}`, ({ at }) => at >= newest.at],
      [`to=${newest.at}`, ({ at }) => at < newest.at],
    ] as [string, (entry: Entry) => boolean][]) {
      const found = await list(root, `?limit=200&${query}`);
      expect(found, query).toEqual(all.filter(isWanted));
      expect(found.length, query).toBeGreaterThan(0);
    }
    const paged: Entry[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body }: Answer<Page> = await root.get<Page>(
        `${ACTIVITY}?limit=7${cursor && `&cursor=${cursor}`}`,
      );
      paged.push(...body.items);
      cursor = body.nextCursor;
    }
    expect(paged).toEqual(all);
    expect(oldest.at <= newest.at).toBe(true);
    for (const bad of ['cursor=MTIz', 'action=x', 'from=soon', 'limit=201', 'accountId=all'])
      expect((await root.get(`${ACTIVITY}?${bad}`)).status, bad).toBe(400);
  });

  it('looks through 50,000 entries for a page, and goes on from there', async () => {
    await service.owner.query(
      `INSERT INTO activity (account_id, at, action, subject, actor, actor_role)
       SELECT 'busy', now() - n * interval '1 millisecond', 'budget.created', CASE n WHEN 50003 THEN 'needle' ELSE 'hay' END, 'busy', 'user'
         FROM generate_series(1, 50004) n`,
    );
    const query = `${ACTIVITY}?accountId=busy&subject=needle`;
    const { body: first } = await root.get<Page>(query);
    expect(first.items).toEqual([]);
    const { body: second } = await root.get<Page>(`${query}&cursor=${first.nextCursor}`);
    expect(second).toMatchObject({ items: [{ subject: 'needle' }], nextCursor: null });
    const { text } = await root.get(query, { accept: 'text/csv' });
    expect(parseCsv(text)).toHaveLength(2);
  });
  it('has pages of at most 512 kB but for their last entry, and CSV of all', async () => {
    await service.owner.query(
      `INSERT INTO activity (account_id, action, subject, actor, actor_role, after)
       SELECT '', 'prices.imported', 'large', 'root', 'admin', jsonb_build_object('changes', repeat(n::text, 200000))
         FROM generate_series(1, 7) n`,
    );
    const found: number[] = [];
    const sizes: number[] = [];
    let cursor = '';
    do {
      const { text, body } = await root.get<{ items: Entry[]; nextCursor: string | null }>(
        `${ACTIVITY}?subject=large${cursor}`,
      );
      sizes.push(text.length);
      found.push(...body.items.map(({ id }) => id));
      cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`;
    } while (cursor !== '');
    expect(new Set(found).size).toBe(7);
    expect(found).toHaveLength(7);
    expect(Math.max(...sizes)).toBeLessThan(800_000);
    const { text } = await root.get(`${ACTIVITY}?subject=large`, { accept: 'text/csv' });
    expect(parseCsv(text)).toHaveLength(8);
  });

  it('is CSV of the same entries', async () => {
    const entries = await list(root, '?limit=200&action=webhook.created');
    const { text } = await root.get(`${ACTIVITY}?action=webhook.created`, { accept: 'text/csv' });
    const [header, ...lines] = parseCsv(text);
    expect(header).toEqual(Object.keys(entries[0] as Entry));
    expect(lines).toEqual(
      entries.map((entry) =>
        Object.values(entry).map((value) =>
          value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value),
        ),
      ),
    );
  });
});

describe('the log', () => {
  it('is append-only, also for the owner of the table', async () => {
    for (const statement of [
      `UPDATE activity SET actor = 'x'`,
      'DELETE FROM activity',
      'DELETE FROM activity WHERE at < now()',
      'TRUNCATE activity',
    ])
      await expect(service.owner.query(statement), statement).rejects.toMatchObject({ code: '23001' });
  });

  it('forgets what is older than ACTIVITY_RETENTION_DAYS, and nothing else', async () => {
    await service.owner.query(
      `INSERT INTO activity (account_id, at, action, subject, actor, actor_role)
       SELECT '', now() - make_interval(days => age), 'price.ended', 'age ' || age, 'x', 'admin'
         FROM unnest(ARRAY[40, 729, 731, 2000]) AS age`,
    );
    await service.get(ActivitySweeper).sweep();
    const left = await list(root, '?actor=x');
    expect(left.map(({ subject }) => subject)).toEqual(['age 40', 'age 729']);
  });
});
