import type { AddressInfo } from 'node:net';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppModule } from '../../src/app.module.js';
import { PERMISSIONS, type Permission } from '../../src/common/http/caller.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { initialize, SONNET } from '../support/money.js';
import {
  type DocumentedOperation,
  documentedOperations,
  exampleBody,
  pathWith,
} from '../support/operations.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, INTERNAL_KEY, startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';
import { accessToken } from '../support/tokens.js';

/** What a call needs beyond the document's examples: path parameters, and fields of the body. */
interface Needs {
  path?: Record<string, string>;
  body?: Record<string, unknown>;
}

interface Row {
  /** `self`: a user on their own account. `owner`: the same, by their own token only. `caller`: any caller with valid credentials. `service`: trusted services. */
  access: 'public' | 'caller' | 'self' | 'owner' | 'supervisor' | 'admin' | 'service';
  /** What an API key needs for it; without one, no API key may. */
  permission?: Permission;
  /** Besides the role, a trusted service. */
  orService?: true;
  /** Where a trusted service names the user. */
  userIdIn?: 'body' | 'query';
  /** Metering routes. */
  metering?: true;
  /** Makes what the call is about, so that the call succeeds for those who may make it. */
  needs?: (headers?: Record<string, string>) => Needs | Promise<Needs>;
}

/** The users of every case: a plain user with credits, another one, and the two higher roles. */
const ALICE = freshUser('alice');
const BOB = freshUser('bob');
const BOSS = freshUser('boss');
const ROOT = freshUser('root');
const ROLE_OF: Record<string, string> = { [BOSS]: 'supervisor', [ROOT]: 'admin' };
const HAS_ROLE = { user: ALICE, supervisor: BOSS, admin: ROOT };
type Role = keyof typeof HAS_ROLE;

let service: TestService;
let metered: TestService;
let operations: Map<string, DocumentedOperation>;

const tokenHeader = (userId: string) => ({
  authorization: `Bearer ${accessToken({ sub: userId, role: ROLE_OF[userId] ?? 'user' })}`,
});
const internalHeader = { 'x-internal-api-key': INTERNAL_KEY };
const as = (role: Role, on = service) => on.as(HAS_ROLE[role], { role });

const ofAlice = () => ({ path: { userId: ALICE } });
const aliceInBody = () => ({ body: { userId: ALICE } });
const newSession = () => ({ body: { sessionId: freshUser('session'), estimatedTokens: 1000 } });
/** A session of Alice; started with the caller's own key where a key alone is to see it. */
async function session(headers: Record<string, string> = {}, more: object = {}): Promise<Needs> {
  const body = { sessionId: freshUser('session'), modelId: SONNET, estimatedTokens: 1000 };
  const key = headers['x-api-key'];
  const caller = key === undefined ? tokenHeader(ALICE) : { 'x-api-key': key };
  const started = await service.anonymous().post('/api/streaming-sessions/initialize', body, caller);
  // A key without the permission starts none: then it is Alice who does.
  if (started.status !== 201) await initialize(service.as(ALICE), body.sessionId);
  return { body: { sessionId: body.sessionId, ...more } };
}
async function lot(): Promise<Needs> {
  const answer = await as('supervisor').post('/api/credits/allocate', { userId: ALICE, credits: 5 });
  return { path: { id: String(answer.body.id) } };
}
async function pricingRule(): Promise<Needs> {
  const rule = { modelId: freshUser('model'), pricePerThousandTokens: '1' };
  return { path: { id: String((await as('admin').post('/api/pricing', rule)).body.id) } };
}

async function pricingAlias(): Promise<Needs> {
  const alias = { alias: freshUser('alias'), modelId: freshUser('model') };
  return { path: { id: String((await as('admin').post('/api/pricing/aliases', alias)).body.id) } };
}

async function apiKey(): Promise<Needs> {
  const answer = await service.as(ALICE).post('/api/api-keys', { name: 'of the walk' });
  return { path: { id: String(answer.body.id) } };
}
/** An organisation that Alice owns, and in it what the call is about. */
async function organisation(): Promise<{ path: Record<string, string> }> {
  const id = `org:${freshUser('o')}`;
  // By a supervisor, who may create any number.
  expect((await as('supervisor').post('/api/organisations', { id, name: 'Acme' })).status).toBe(201);
  const owner = { userId: ALICE, role: 'owner' };
  expect((await as('supervisor').post(`/api/organisations/${id}/members`, owner)).status).toBe(201);
  return { path: { id } };
}
async function newGatewayAccount(): Promise<Needs> {
  const { path } = await organisation();
  return { body: { externalId: freshUser('team'), accountId: path.id } };
}
async function gatewayAccount(): Promise<Needs> {
  const { body } = await newGatewayAccount();
  const answer = await as('admin').send(
    'PUT',
    '/api/integrations/litellm/accounts',
    { kind: 'team', ...body },
    {},
  );
  return { path: { id: String((answer.body as { id: number }).id) } };
}
async function member(): Promise<Needs> {
  const { path } = await organisation();
  const userId = freshUser('member');
  await service.as(ALICE).post(`/api/organisations/${path.id}/members`, { userId, role: 'member' });
  return { path: { ...path, userId } };
}
const newMember = async (): Promise<Needs> => ({
  ...(await organisation()),
  body: { userId: freshUser('member') },
});
async function unit(): Promise<Needs> {
  const { path } = await organisation();
  const answer = await service.as(ALICE).post(`/api/organisations/${path.id}/units`, { name: 'Research' });
  return { path: { ...path, unitId: String(answer.body.id) } };
}
/** Each of a tag of its own: for one scope there may be 8. */
const budgetBody = () => ({
  ...{ scope: 'tag', scopeId: `case=${freshUser('tag')}`, unit: 'credits', window: 'day', timeZone: 'UTC' },
  ...{ amount: 1_000_000, mode: 'soft' },
});
const newBudget = () => ({ body: { accountId: undefined, ...budgetBody() } });
async function ownBudget(): Promise<Needs> {
  const made = await service.as(ALICE).post('/api/budgets', budgetBody());
  return { path: { id: String(made.body.id) } };
}
const changedBudget = async (): Promise<Needs> => ({
  ...(await ownBudget()),
  body: { accountId: undefined, memberId: undefined, until: undefined },
});
/** No server listens there, and no name server is asked. */
const webhookTarget = () => ({ body: { url: 'https://127.0.0.1:65530/hook' } });
async function webhook(): Promise<Needs> {
  // There may be a hundred, and each case makes some.
  await service.owner.query('DELETE FROM webhook_endpoints');
  const answer = await as('admin').post<{ id: number }>('/api/webhooks', webhookTarget().body);
  return { path: { id: String(answer.body.id) } };
}
const newAlertRule = () => ({ body: { name: 'x', channel: 'slack', ...webhookTarget().body } });
async function alertRule(): Promise<Needs> {
  // As above.
  await service.owner.query('DELETE FROM alert_rules');
  const answer = await as('admin').post<{ id: number }>('/api/alert-rules', newAlertRule().body);
  return { path: { id: String(answer.body.id) } };
}
async function delivery(): Promise<Needs> {
  const { path } = await webhook();
  await service.as(ALICE).post('/api/api-keys', { name: 'of a delivery' });
  await service.owner.query('SELECT events_publish(1000)');
  const { body } = await as('admin').get<{ items: { id: number }[] }>(`/api/webhooks/${path?.id}/deliveries`);
  return { path: { ...path, deliveryId: String(body.items[0]?.id) } };
}
const ownRecord = async (): Promise<Needs> => ({ path: (await recordInReview()).path });
async function recordInReview(): Promise<Needs> {
  const charge = { requestId: freshUser('call'), modelId: SONNET, tokens: 1, billingStatus: 'needs_review' };
  const answer = await service.as(ALICE).post<{ record: { id: number } }>('/api/usage/charge', charge);
  return { path: { id: String(answer.body.record.id) }, body: { action: 'waive', version: 1 } };
}

const METERED_SESSION = {
  access: 'self',
  userIdIn: 'body',
  metering: true,
  permission: 'sessions:write',
} as const;

/** Its body has no fields that the document could give examples of: they are the models' ids. */
function priceMap(): Needs {
  const price = { mode: 'chat', input_cost_per_token: 1e-6, output_cost_per_token: 1e-6 };
  return { body: { [freshUser('model')]: price } };
}

/** Who may call what, as the contract says it. Public is only what is named so here. */
const OPERATIONS: Record<string, Row> = {
  getHealth: { access: 'public' },
  getApiHealth: { access: 'public' },
  getReadiness: { access: 'public' },
  getMetrics: { access: 'public' },

  getMe: { access: 'owner' },
  listAccounts: { access: 'supervisor' },
  getAccount: { access: 'supervisor', needs: ofAlice },

  getBalance: { access: 'self', userIdIn: 'query', permission: 'credits:read' },
  getUserBalance: { access: 'supervisor', needs: ofAlice },
  checkCredits: { access: 'self', userIdIn: 'body', permission: 'credits:read' },
  calculateCredits: {
    access: 'caller',
    permission: 'pricing:read',
    needs: () => ({ body: { tokens: 1000 } }),
  },
  allocateCredits: { access: 'supervisor', needs: aliceInBody },
  deductCredits: { access: 'admin', needs: aliceInBody },
  revokeAllocation: { access: 'admin', needs: lot },
  getLedger: { access: 'self', userIdIn: 'query', permission: 'credits:read' },
  getUserLedger: { access: 'supervisor', needs: ofAlice },
  auditCredits: { access: 'admin' },
  getCreditTotals: { access: 'admin' },
  getForecast: { access: 'self', userIdIn: 'query', permission: 'credits:read' },
  getUserForecast: { access: 'supervisor', needs: ofAlice },

  initializeSession: { ...METERED_SESSION, needs: newSession },
  reportProgress: { ...METERED_SESSION, needs: session },
  finalizeSession: { ...METERED_SESSION, needs: (headers) => session(headers, { actualTokens: 700 }) },
  abortSession: { ...METERED_SESSION, needs: session },
  listActiveSessions: { access: 'self', userIdIn: 'query', permission: 'sessions:write' },
  listAllActiveSessions: { access: 'admin' },
  listUserActiveSessions: { access: 'supervisor', needs: ofAlice },

  recordUsage: { access: 'self', userIdIn: 'body', metering: true, permission: 'usage:write' },
  chargeUsage: {
    access: 'self',
    userIdIn: 'body',
    metering: true,
    permission: 'usage:write',
    needs: () => ({ body: { requestId: freshUser('call'), tokens: 1000 } }),
  },
  listNeedsReview: { access: 'admin' },
  listAllUsageRecords: { access: 'admin' },
  reviewUsage: { access: 'admin', needs: recordInReview },
  getUsageStats: { access: 'self', userIdIn: 'query', permission: 'usage:read' },
  getUserUsageStats: { access: 'supervisor', needs: ofAlice },
  getSystemStats: { access: 'admin' },
  listUsageRecords: { access: 'self', userIdIn: 'query', permission: 'usage:read' },
  getUsageRecord: { access: 'caller', permission: 'usage:read', needs: ownRecord },
  getUsageBreakdown: { access: 'self', userIdIn: 'query', permission: 'usage:read' },
  getUsageClasses: { access: 'self', userIdIn: 'query', permission: 'usage:read' },
  getSystemClasses: { access: 'admin' },
  getUserUsageClasses: { access: 'supervisor', needs: ofAlice },
  listUserUsageRecords: { access: 'supervisor', needs: ofAlice },

  createApiKey: { access: 'owner', orService: true, userIdIn: 'body' },
  listApiKeys: { access: 'owner', orService: true, userIdIn: 'query' },
  getApiKey: { access: 'owner', orService: true, userIdIn: 'query', needs: apiKey },
  updateApiKey: { access: 'owner', orService: true, userIdIn: 'query', needs: apiKey },
  rotateApiKey: { access: 'owner', orService: true, userIdIn: 'query', needs: apiKey },
  revokeApiKey: { access: 'owner', orService: true, userIdIn: 'query', needs: apiKey },
  listUserApiKeys: { access: 'supervisor', needs: ofAlice },
  verifyApiKey: { access: 'supervisor', orService: true },

  listPricing: { access: 'caller', permission: 'pricing:read' },
  getModelPricing: {
    access: 'caller',
    permission: 'pricing:read',
    needs: () => ({ path: { id: 'some/model' } }),
  },
  createPricingRule: {
    access: 'admin',
    needs: () => ({ body: { modelId: freshUser('model'), pricePerThousandTokens: '1' } }),
  },
  previewPricing: {
    access: 'admin',
    needs: () => ({ body: { modelId: freshUser('model'), pricePerThousandTokens: '1' } }),
  },
  listPricingAliases: { access: 'caller', permission: 'pricing:read' },
  createPricingAlias: {
    access: 'admin',
    needs: () => ({ body: { alias: freshUser('alias'), modelId: freshUser('model') } }),
  },
  deletePricingAlias: { access: 'admin', needs: pricingAlias },
  deletePricingRule: { access: 'admin', needs: pricingRule },
  importPricing: { access: 'admin', needs: priceMap },

  listActivity: { access: 'owner' },
  searchEverything: { access: 'owner' },
  listEvents: { access: 'owner' },
  streamEvents: { access: 'owner' },
  getLowThreshold: { access: 'self', userIdIn: 'query', permission: 'credits:read' },
  setLowThreshold: { access: 'owner' },
  getUserLowThreshold: { access: 'supervisor', needs: ofAlice },
  setUserLowThreshold: { access: 'supervisor', needs: ofAlice },
  createAlertRule: { access: 'admin', needs: newAlertRule },
  listAlertRules: { access: 'admin' },
  getAlertRule: { access: 'admin', needs: alertRule },
  updateAlertRule: {
    access: 'admin',
    needs: async () => ({ ...(await alertRule()), body: { name: 'y' } }),
  },
  deleteAlertRule: { access: 'admin', needs: alertRule },
  testAlertRule: { access: 'admin', needs: alertRule },
  createWebhook: { access: 'admin', needs: webhookTarget },
  listWebhooks: { access: 'admin' },
  getWebhook: { access: 'admin', needs: webhook },
  updateWebhook: {
    access: 'admin',
    needs: async () => ({ ...(await webhook()), ...webhookTarget() }),
  },
  deleteWebhook: { access: 'admin', needs: webhook },
  rotateWebhookSecret: { access: 'admin', needs: webhook },
  testWebhook: { access: 'admin', needs: webhook },
  listWebhookDeliveries: { access: 'admin', needs: webhook },
  replayWebhookDelivery: { access: 'admin', needs: delivery },
  replayWebhook: { access: 'admin', needs: webhook },

  createBudget: { access: 'owner', needs: newBudget },
  listBudgets: { access: 'owner' },
  getBudget: { access: 'owner', needs: ownBudget },
  listBudgetPeriods: { access: 'owner', needs: ownBudget },
  updateBudget: { access: 'owner', needs: changedBudget },
  deleteBudget: { access: 'owner', needs: ownBudget },
  raiseBudget: { access: 'owner', needs: changedBudget },

  createOrganisation: { access: 'owner', needs: () => ({ body: { name: freshUser('Acme') } }) },
  listOrganisations: { access: 'owner' },
  getOrganisation: { access: 'owner', needs: organisation },
  renameOrganisation: { access: 'owner', needs: organisation },
  archiveOrganisation: { access: 'owner', needs: organisation },
  addMember: { access: 'owner', needs: newMember },
  listMembers: { access: 'owner', needs: organisation },
  changeMember: { access: 'owner', needs: member },
  removeMember: { access: 'owner', needs: member },
  createUnit: { access: 'owner', needs: organisation },
  getUnitTree: { access: 'owner', needs: organisation },
  changeUnit: { access: 'owner', needs: unit },
  deleteUnit: { access: 'owner', needs: unit },
  listMyAccounts: { access: 'owner' },

  takeLitellmLogs: { access: 'service' },
  listCostDifferences: { access: 'admin' },
  listQuarantine: { access: 'admin' },
  replayQuarantine: { access: 'admin' },
  listGatewayAccounts: { access: 'admin' },
  setGatewayAccount: { access: 'admin', needs: newGatewayAccount },
  deleteGatewayAccount: { access: 'admin', needs: gatewayAccount },
};

beforeAll(async () => {
  service = await startService({
    WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on',
    ORGANISATIONS_CREATED_BY: 'any',
  });
  metered = await service.another({ METERING_CALLERS: 'service' });
  operations = await documentedOperations(service);
  // Known to both instances and with credits, so that no case below makes an account by the way.
  for (const on of [service, metered])
    for (const userId of [ALICE, BOB, BOSS, ROOT])
      await on.anonymous().get('/api/credits/balance', tokenHeader(userId));
  const answer = await as('supervisor').post('/api/credits/allocate', { userId: ALICE, credits: 1_000_000 });
  expect(answer.status).toBe(201);
});
afterAll(async () => {
  await metered.close();
  await service.close();
});

interface CallOptions {
  on?: TestService;
  /** Named as the user that the call is about, where the operation takes it or where this says. */
  naming?: string;
  namedIn?: 'body' | 'query';
}

/** Makes the call of that name with these headers: valid in everything but perhaps who makes it. */
async function prepare(id: string, { naming, namedIn }: CallOptions, headers?: Record<string, string>) {
  const operation = operations.get(id) as DocumentedOperation;
  const row = OPERATIONS[id] as Row;
  const needs = (await row.needs?.(headers)) ?? {};
  const where = namedIn ?? row.userIdIn;
  const query: Record<string, string> = naming !== undefined && where === 'query' ? { userId: naming } : {};
  const body = (operation.body ?? needs.body) && {
    ...exampleBody(operation),
    ...needs.body,
    ...(naming !== undefined && where === 'body' ? { userId: naming } : {}),
  };
  return { method: operation.method, path: pathWith(operation, needs.path, query), body };
}

async function call(
  id: string,
  headers: Record<string, string>,
  options: CallOptions = {},
): Promise<Answer<object>> {
  const { method, path, body } = await prepare(id, options, headers);
  return (options.on ?? service).anonymous().send<object>(method, path, body, headers);
}

async function expectDone(id: string, headers: Record<string, string>, options: CallOptions = {}) {
  const answer = await call(id, headers, options);
  expect([200, 201, 204], answer.text).toContain(answer.status);
  return answer;
}

/** Refused with this status, and nothing in the database is another than before. */
async function expectRefused(
  id: string,
  headers: Record<string, string>,
  [status, problem]: [number, object],
  options: CallOptions = {},
) {
  const { method, path, body } = await prepare(id, options);
  const before = await snapshot(service.owner);
  const client: HttpClient = (options.on ?? service).anonymous();
  expectProblem(await client.send<object>(method, path, body, headers), status, problem);
  expect(await snapshot(service.owner)).toEqual(before);
}

const TOKEN_REQUIRED: [number, object] = [401, { message: 'Authentication token required' }];
const WRONG_KEY: [number, object] = [401, { message: 'Invalid internal API key' }];
const TOO_LOW: Record<'supervisor' | 'admin', [number, object]> = {
  supervisor: [403, { code: 'auth.role_required', message: 'Supervisor access required' }],
  admin: [403, { code: 'auth.role_required', message: 'Admin access required' }],
};
const FOREIGN: [number, object] = [403, { code: 'auth.foreign_user', field: 'userId' }];
const SERVICE_ONLY: [number, object] = [403, { code: 'auth.service_required' }];
const NAMES_NOBODY: [number, object] = [400, { code: 'validation.failed', field: 'userId' }];

const rows = Object.entries(OPERATIONS);
const where = (matches: (row: Row) => boolean) => rows.filter(([, row]) => matches(row)).map(([id]) => id);

describe('the table above', () => {
  it('has every operation of the document and no other', () => {
    expect(Object.keys(OPERATIONS).sort()).toEqual([...operations.keys()].sort());
  });

  it('agrees with what the document says of credentials', () => {
    for (const [id, { security }] of operations) {
      const { access, orService } = OPERATIONS[id] as Row;
      const schemes = security.flatMap((scheme) => Object.keys(scheme));
      expect(schemes.length > 0, id).toBe(access !== 'public');
      if (access === 'self' || access === 'caller')
        expect(schemes, id).toEqual(expect.arrayContaining(['bearer', 'api-key', 'internal']));
      if (access === 'owner') expect(schemes, id).toEqual(orService ? ['bearer', 'internal'] : ['bearer']);
      if (access === 'service') expect(schemes, id).toEqual(['internal']);
    }
  });

  it('agrees with what the document says of userId', () => {
    for (const [id, { parameters, body }] of operations) {
      const { userIdIn } = OPERATIONS[id] as Row;
      if (userIdIn === 'query')
        expect(parameters).toContainEqual(expect.objectContaining({ name: 'userId' }));
      if (userIdIn === 'body') expect(body?.properties, id).toHaveProperty('userId');
    }
  });
});

describe('a trusted service that reads a user on a path for supervisors', () => {
  const ofUser = where(({ access, needs }) => access === 'supervisor' && needs === ofAlice);

  it.each(ofUser)('%s: learns how to name the user where that is possible, and only there', async (id) => {
    const { method, path } = operations.get(id) as DocumentedOperation;
    const refused = await call(id, internalHeader);
    expectProblem(refused, 403, { code: 'auth.role_required' });
    const isServed = [...operations.values()].some(
      (other) =>
        other.method === method &&
        [`${other.path}/{userId}`, `${other.path}/user/{userId}`].includes(path) &&
        OPERATIONS[other.operationId]?.userIdIn === 'query',
    );
    expect(refused.text.includes('?userId='), refused.text).toBe(isServed);
  });
});

describe('a public operation', () => {
  it.each(where(({ access }) => access === 'public'))('%s answers anyone', async (id) => {
    await expectDone(id, {});
    await expectDone(id, { authorization: 'Bearer garbage', 'x-internal-api-key': 'wrong' });
  });
});

describe('an operation that is not public', () => {
  it.each(where(({ access }) => access !== 'public'))(
    '%s refuses a caller without credentials',
    async (id) => {
      await expectRefused(id, {}, TOKEN_REQUIRED);
      await expectRefused(id, { 'x-internal-api-key': 'wrong' }, WRONG_KEY);
      await expectRefused(id, { ...tokenHeader(ROOT), 'x-internal-api-key': 'wrong' }, WRONG_KEY);
      await expectRefused(id, { authorization: 'Bearer garbage' }, [401, { message: 'Invalid token' }]);
    },
  );
});

describe('an operation for every caller', () => {
  it.each(where(({ access }) => access === 'caller'))('%s answers users and services', async (id) => {
    await expectDone(id, tokenHeader(ALICE));
    await expectDone(id, internalHeader);
  });
});

describe('an operation on the own account', () => {
  const own = where(({ access }) => access === 'self');

  it.each(own)('%s is open to the user', async (id) => {
    await expectDone(id, tokenHeader(ALICE));
    await expectDone(id, tokenHeader(ALICE), { naming: ALICE });
  });

  it.each(own)('%s refuses a user who names another, in the query or the body', async (id) => {
    const { body } = operations.get(id) as DocumentedOperation;
    for (const other of [tokenHeader(BOB), tokenHeader(ROOT)]) {
      await expectRefused(id, other, FOREIGN, { naming: ALICE, namedIn: 'query' });
      if (body) await expectRefused(id, other, FOREIGN, { naming: ALICE, namedIn: 'body' });
    }
  });

  it.each(own)('%s is open to a service that names the user or forwards their token', async (id) => {
    await expectDone(id, internalHeader, { naming: ALICE });
    await expectDone(id, { ...internalHeader, ...tokenHeader(ALICE) });
    await expectDone(id, { ...internalHeader, ...tokenHeader(ALICE) }, { naming: ALICE });
  });

  it.each(own)('%s refuses a service that names another than the token it forwards', async (id) => {
    await expectRefused(id, { ...internalHeader, ...tokenHeader(BOB) }, FOREIGN, { naming: ALICE });
  });

  const sessionOf = (userId: string) => ({
    userId,
    sessionId: freshUser('session'),
    modelId: SONNET,
    estimatedTokens: 10,
  });
  function expectTwoUsers(refused: Answer): void {
    expectProblem(refused, 400, { code: 'validation.failed', field: 'userId' });
    expect(refused.text).toContain('must be the same in path, query and body');
  }

  it('400 for two users in one request, for any caller and wherever they are named', async () => {
    const asAlice = { ...internalHeader, ...tokenHeader(ALICE) };
    for (const headers of [internalHeader, asAlice, tokenHeader(ALICE), tokenHeader(ROOT)]) {
      const client = service.withHeaders(headers);
      for (const [inQuery, inBody] of [
        [ALICE, BOB],
        [BOB, ALICE],
      ]) {
        const initialize = `/api/streaming-sessions/initialize?userId=${inQuery}`;
        expectTwoUsers(await client.post(initialize, sessionOf(inBody as string)));
      }
    }
    const root = as('admin');
    const given = { userId: ALICE, credits: 1 };
    expectTwoUsers(await root.post(`/api/credits/allocate?userId=${BOB}`, given));
    expectTwoUsers(await root.get(`/api/credits/balance/${ALICE}?userId=${BOB}`));
    const agreed = `/api/streaming-sessions/initialize?userId=${ALICE}`;
    expect((await service.internal().post(agreed, sessionOf(ALICE))).status).toBe(201);
  });

  it.each(['ALL', 'All', 'aLL'])(
    '400 for %s in the place of a user: it is neither everyone nor someone',
    async (id) => {
      for (const path of [
        '/api/usage/records/user',
        '/api/streaming-sessions/active',
        '/api/credits/balance',
      ])
        expectProblem(await as('admin').get(`${path}/${id}`), 400, { field: 'userId' });
    },
  );

  it.each(own)('%s refuses a service that names no user', async (id) => {
    await expectRefused(id, internalHeader, NAMES_NOBODY);
    for (const naming of ['', 'all', 'service:internal', 'x'.repeat(51), 'a\u0000'])
      await expectRefused(id, internalHeader, NAMES_NOBODY, { naming });
  });

  it('is about the user that the service named', async () => {
    const answer = await expectDone('getBalance', internalHeader, { naming: BOB });
    expect(answer.body).toMatchObject({ userId: BOB, totalCredits: 0 });
  });
});

describe('an operation by the own token only', () => {
  const owned = (orService: boolean) =>
    where((row) => row.access === 'owner' && (row.orService ?? false) === orService);

  it.each(owned(false))('%s refuses a service without one', async (id) => {
    await expectRefused(id, internalHeader, [403, { code: 'auth.user_token_required' }]);
    await expectDone(id, tokenHeader(ALICE));
    await expectDone(id, { ...internalHeader, ...tokenHeader(ALICE) });
  });

  it.each(owned(true))('%s is open to a service that names the user, and to no other', async (id) => {
    await expectDone(id, tokenHeader(ALICE));
    await expectDone(id, internalHeader, { naming: ALICE });
    await expectDone(id, { ...internalHeader, ...tokenHeader(ALICE) }, { naming: ALICE });
    await expectRefused(id, internalHeader, NAMES_NOBODY);
    for (const other of [tokenHeader(BOB), tokenHeader(ROOT), { ...internalHeader, ...tokenHeader(BOB) }])
      await expectRefused(id, other, FOREIGN, { naming: ALICE });
  });
});

describe('an operation for trusted services', () => {
  it.each(where(({ access }) => access === 'service'))(
    '%s refuses every token without the key',
    async (id) => {
      for (const userId of [ALICE, BOSS, ROOT]) await expectRefused(id, tokenHeader(userId), SERVICE_ONLY);
      await expectDone(id, internalHeader);
      await expectDone(id, { ...internalHeader, ...tokenHeader(ALICE) });
    },
  );
});

describe('an API key', () => {
  const keyWith = async (permissions: readonly Permission[]) => {
    const answer = await service.as(ALICE).post<{ key: string }>('/api/api-keys', { name: 'k', permissions });
    return { 'x-api-key': answer.body.key };
  };

  it.each(where(({ permission }) => permission !== undefined))(
    '%s needs its permission and no other, on the own account only',
    async (id) => {
      const { permission, access } = OPERATIONS[id] as Row & { permission: Permission };
      const others = PERMISSIONS.filter((other) => other !== permission);
      const missing: [number, object] = [403, { code: 'auth.permission_required' }];
      await expectRefused(id, await keyWith(others), missing);
      await expectRefused(id, await keyWith([]), missing);
      const allowed = await keyWith([permission]);
      await expectDone(id, allowed);
      if (access === 'self') await expectRefused(id, allowed, FOREIGN, { naming: BOB, namedIn: 'query' });
    },
  );

  it.each(where(({ permission, access }) => permission === undefined && access !== 'public'))(
    '%s is never open to one, whatever it may do',
    async (id) => {
      await expectRefused(id, await keyWith(PERMISSIONS), [403, {}]);
    },
  );

  it('has the role user, whatever role its owner has', async () => {
    const answer = await as('admin').post('/api/api-keys', { name: 'k', permissions: PERMISSIONS });
    const ofRoot = { 'x-api-key': String(answer.body.key) };
    await expectRefused('getUserBalance', ofRoot, TOO_LOW.supervisor);
    await expectRefused('auditCredits', ofRoot, TOO_LOW.admin);
  });

  it.each(where(({ metering }) => metering === true))(
    '%s refuses one under METERING_CALLERS=service, unless a service shows it',
    async (id) => {
      const key = await keyWith(PERMISSIONS);
      await expectRefused(id, key, SERVICE_ONLY, { on: metered });
      await expectDone(id, { ...key, ...internalHeader }, { on: metered });
    },
  );
});

describe.each(['supervisor', 'admin'] as const)('an operation for a %s', (needed) => {
  const restricted = where(({ access }) => access === needed);
  const tooLow: Role[] = needed === 'admin' ? ['user', 'supervisor'] : ['user'];
  const enough: Role[] = needed === 'admin' ? ['admin'] : ['supervisor', 'admin'];

  it.each(restricted)('%s refuses each lower role', async (id) => {
    for (const role of tooLow) await expectRefused(id, tokenHeader(HAS_ROLE[role]), TOO_LOW[needed]);
  });

  it.each(restricted)('%s gives a service no more than the token it forwards', async (id) => {
    if (OPERATIONS[id]?.orService) return void (await expectDone(id, internalHeader));
    await expectRefused(id, internalHeader, TOO_LOW[needed]);
    await expectRefused(id, { ...internalHeader, ...tokenHeader(ALICE) }, TOO_LOW[needed]);
  });

  it.each(restricted)('%s is open to that role', async (id) => {
    for (const role of enough) await expectDone(id, tokenHeader(HAS_ROLE[role]));
  });
});

describe('an operation with a user in its path', () => {
  it('refuses a plain user also for their own id', async () => {
    const ids = [...operations.values()]
      // Of a member it depends on the organisation.
      .filter(({ path }) => path.includes('{userId}') && !path.includes('/members/'))
      .map(({ operationId }) => operationId);
    expect(ids.length).toBeGreaterThan(0);
    // The cases above name ALICE in the path and call as ALICE.
    for (const id of ids) await expectRefused(id, tokenHeader(ALICE), TOO_LOW.supervisor);
  });

  it('never takes the route of all sessions for a user called all', async () => {
    const path = '/api/streaming-sessions/active/all';
    expectProblem(await as('user').get(path), ...TOO_LOW.admin);
    expectProblem(await as('supervisor').get(path), ...TOO_LOW.admin);
    expect((await as('admin').get(path)).status).toBe(200);
  });
});

describe('METERING_CALLERS=service', () => {
  it.each(where(({ metering }) => metering === true))('%s needs the internal key', async (id) => {
    for (const userId of [ALICE, ROOT])
      await expectRefused(id, tokenHeader(userId), SERVICE_ONLY, { on: metered });
    await expectRefused(id, {}, TOKEN_REQUIRED, { on: metered });
    await expectRefused(id, { ...tokenHeader(ALICE), 'x-internal-api-key': 'wrong' }, WRONG_KEY, {
      on: metered,
    });
    await expectRefused(id, internalHeader, NAMES_NOBODY, { on: metered });
    await expectDone(id, internalHeader, { on: metered, naming: ALICE });
    await expectDone(id, { ...internalHeader, ...tokenHeader(ALICE) }, { on: metered });
  });

  it.each(where(({ metering, access }) => metering !== true && access !== 'public'))(
    '%s stays as it was',
    async (id) => {
      const { access } = OPERATIONS[id] as Row;
      const role = access === 'supervisor' || access === 'admin' ? access : 'user';
      const headers = access === 'service' ? internalHeader : tokenHeader(HAS_ROLE[role]);
      await expectDone(id, headers, { on: metered });
    },
  );

  it('cannot be started without an internal key', async () => {
    await expect(service.another({ METERING_CALLERS: 'service', INTERNAL_API_KEY: '' })).rejects.toThrow(
      'INTERNAL_API_KEY',
    );
  });
});

describe('a route that says nothing of access', () => {
  @Controller('forgotten')
  class ForgottenController {
    @Get()
    get(): object {
      return { open: true };
    }
  }

  it('is not available to anyone', async () => {
    @Module({
      imports: [AppModule.forRoot(service.config, service.databaseUrl)],
      controllers: [ForgottenController],
    })
    class ForgetfulModule {}
    const app = await NestFactory.create<NestExpressApplication>(ForgetfulModule, {
      logger: false,
      abortOnError: false,
    });
    await app.listen(0, '127.0.0.1');
    const url = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}/forgotten`;
    const statusWith = async (headers: Record<string, string>) => (await fetch(url, { headers })).status;
    expect(await statusWith({})).toBe(401);
    expect(await statusWith(tokenHeader(ROOT))).toBe(403);
    expect(await statusWith(internalHeader)).toBe(403);
    await app.close();
  });
});
