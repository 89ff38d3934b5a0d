import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { parseCsv } from '../support/csv.js';
import { accessToken } from '../support/tokens.js';
import { eventsOf } from '../support/events.js';
import { freshUser, startService, type TestService } from '../support/service.js';

let service: TestService;
let shown: TestService;
let recordId: number;
const modelId = freshUser('model');
const userId = freshUser();
beforeAll(async () => {
  service = await startService({ SHOW_PROVIDER_COST_TO_USERS: 'off' });
  shown = await service.another({ SHOW_PROVIDER_COST_TO_USERS: 'on' });
  const root = service.as('root', { role: 'admin' });
  const components = [
    { class: 'input', price: '0.003', providerCostUsd: '0.000003' },
    { class: 'output', price: '0.015', providerCostUsd: '0.000015' },
    { class: 'tokens', price: '0.015', providerCostUsd: '0.000015' },
  ];
  expect((await root.post('/api/pricing', { modelId, components })).status).toBe(201);
  await service.as(userId).get('/api/credits/balance');
  await root.post('/api/credits/allocate', { userId, credits: 1000 });
});
afterAll(async () => {
  await shown.close();
  await service.close();
});

type Schema = { $ref?: string; properties?: Record<string, Schema>; [name: string]: unknown };
interface Document {
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, object> }>>;
  components: { schemas: Record<string, Schema> };
}

/** The operations whose answers have a field about costs, whoever may call them. */
async function operationsWithCosts(): Promise<string[]> {
  const file = new URL('../../openapi.json', import.meta.url);
  const { paths, components } = JSON.parse(await readFile(file, 'utf8')) as Document;
  const names = (part: unknown, seen: Set<string>): string[] => {
    if (typeof part !== 'object' || part === null) return [];
    const { $ref, properties, ...rest } = part as Schema;
    const target = $ref?.split('/').at(-1);
    if (target !== undefined && seen.has(target)) return [];
    return [
      ...Object.keys(properties ?? {}),
      ...Object.values(properties ?? {}).flatMap((each) => names(each, seen)),
      ...(target === undefined ? [] : names(components.schemas[target], new Set([...seen, target]))),
      ...Object.values(rest).flatMap((each) => names(each, seen)),
    ];
  };
  return Object.values(paths)
    .flatMap((methods) => Object.values(methods))
    .filter(({ responses }) =>
      Object.entries(responses).some(
        ([status, answer]) => status < '300' && names(answer, new Set()).some((name) => /cost/i.test(name)),
      ),
    )
    .map(({ operationId }) => operationId)
    .sort();
}

/** Every operation of a caller with the role `user` whose answer has such a field, and its answer's text. */
async function answersOf(user: HttpClient): Promise<Record<string, string>> {
  const call = { requestId: freshUser('call'), modelId, quantities: { input: 100, output: 10 } };
  const charged = await user.post<{ record: { id: number } }>('/api/usage/charge', {
    ...call,
    ...{ providerCostUsd: '0.5', metadata: { providerCostUsd: 'of my own' }, tags: { providerCost: 'mine' } },
  });
  recordId = charged.body.record.id;
  const recorded = { service: 'chat', operation: modelId, credits: 1 };
  const answers = {
    chargeUsage: charged,
    recordUsage: await user.post('/api/usage/record', recorded),
    calculateCredits: await user.post('/api/credits/calculate', { modelId, quantities: { input: 100 } }),
    getUsageStats: await user.get('/api/usage/stats'),
    listUsageRecords: await user.get('/api/usage/records'),
    getUsageRecord: await user.get(`/api/usage/records/${recordId}`),
    getUsageClasses: await user.get('/api/usage/classes'),
    listPricing: await user.get('/api/pricing'),
    getModelPricing: await user.get(`/api/pricing/${modelId}`),
  };
  for (const [name, { status, text }] of Object.entries(answers))
    expect(status, `${name} ${text}`).toBeLessThan(300);
  return Object.fromEntries(Object.entries(answers).map(([name, { text }]) => [name, text]));
}

/** Of everyone's calls, of prices that are made, and of gateways: only supervisors, admins and trusted services may call them. */
const NOT_FOR_USERS = [
  ...['createPricingRule', 'getSystemClasses', 'getSystemStats', 'getUserUsageClasses', 'getUserUsageStats'],
  ...[
    'listAllUsageRecords',
    'importPricing',
    'listCostDifferences',
    'previewPricing',
    'listNeedsReview',
    'listUserUsageRecords',
    'reviewUsage',
  ],
];

/** Each field about costs that says something, but for what the caller wrote. */
const said = (text: string) =>
  [...text.matchAll(/"(\w*[cC]ost\w*)":("[^"]*"|[^,}\]]*)/g)]
    .map(([, name, value]) => `${name} ${value}`)
    .filter((line) => !line.endsWith(' null') && !line.includes('of my own') && !line.includes('mine'));

describe('provider costs and provider prices', () => {
  it('are in the answers of these operations only', async () => {
    const forUsers = Object.keys(await answersOf(service.as(userId)));
    expect(await operationsWithCosts()).toEqual([...forUsers, ...NOT_FOR_USERS].sort());
  });

  it('are null for a user, by a token, by an API key and through a service that forwards the token', async () => {
    const user = service.as(userId);
    const permissions = ['credits:read', 'usage:read', 'usage:write', 'pricing:read'];
    const key = await user.post<{ key: string }>('/api/api-keys', { name: 'k', permissions });
    const callers = [
      user,
      service.withHeaders({ 'X-API-Key': key.body.key }),
      service.internal({ Authorization: `Bearer ${accessToken({ sub: userId, role: 'user' })}` }),
    ];
    for (const caller of callers)
      for (const [name, text] of Object.entries(await answersOf(caller)))
        expect(said(text), name).toEqual([]);
    expect((await answersOf(user)).getUsageRecord).toContain('"metadata":{"providerCostUsd":"of my own"}');
  });

  it('are left empty in a user’s CSV, and in no event', async () => {
    const user = service.as(userId);
    const { text } = await user.get('/api/usage/records', { Accept: 'text/csv' });
    const [header = [], ...lines] = parseCsv(text);
    expect(lines.length).toBeGreaterThan(0);
    for (const column of ['providerCostUsd', 'providerCostSource'])
      expect(new Set(lines.map((line) => line[header.indexOf(column)]))).toEqual(new Set(['']));
    await user.post('/api/usage/charge', {
      requestId: 'for review',
      modelId,
      tokens: 9,
      billingStatus: 'needs_review',
    });
    const events = JSON.stringify(await eventsOf(service, user));
    expect(events).toContain('usage.needs_review');
    expect(events).not.toMatch(/cost/i);
  });

  it.each([
    ['a supervisor', () => service.as('boss', { role: 'supervisor' })],
    ['an admin', () => service.as('root', { role: 'admin' })],
    ['a trusted service', () => service.internal()],
  ])('are shown to %s', async (_, caller) => {
    await answersOf(service.as(userId));
    for (const path of [`/api/usage/records/${recordId}`, `/api/pricing/${modelId}`])
      expect(said((await caller().get(path)).text), path).not.toEqual([]);
  });

  it('are shown to users where SHOW_PROVIDER_COST_TO_USERS is on', async () => {
    const user = shown.as(userId);
    for (const [name, text] of Object.entries(await answersOf(user)))
      if (name !== 'recordUsage') expect(said(text), name).not.toEqual([]);
    expect((await user.get('/api/usage/records', { Accept: 'text/csv' })).text).toContain('0.5');
  });
});
