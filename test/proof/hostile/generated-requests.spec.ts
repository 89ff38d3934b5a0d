import { afterAll, beforeAll, expect, it } from 'vitest';
import { PERMISSIONS } from '../../../src/common/http/caller.js';
import { assertDocumented } from '../../support/contract.js';
import type { Answer } from '../../support/http-client.js';
import { expectSoundBooks, SONNET } from '../../support/money.js';
import { expectProblem } from '../../support/problems.js';
import { SeededRandom } from '../../support/seeded-random.js';
import { INTERNAL_KEY, startService, type TestService } from '../../support/service.js';
import { accessToken } from '../../support/tokens.js';
import { WriteLog } from '../../support/write-log.js';
import { type Operation, operationsOfDocument } from './document.js';
import { type HostileRequest, RequestGenerator, type World } from './generator.js';
import { curlOf, HostileClient } from './hostile-client.js';

const REQUESTS = Number(process.env.HOSTILE_REQUESTS ?? 20_000);
const IN_FLIGHT = Number(process.env.HOSTILE_IN_FLIGHT ?? 16);
const BATCH = Number(process.env.HOSTILE_BATCH ?? 500);

/** The others have several at once. */
const SHARE_OF_SINGLE_CHANGES = 0.65;
/** Begun beforehand: so many of the generator's own are never begun that some operation might not be accepted once. */
const OPEN_SESSIONS = 60;
const ORGANISATION = 'org:world';
/** So many organisations are there to be archived; of twice as many units and members half are there to go. */
const DISPOSABLE = 30;

const seed = process.env.HOSTILE_SEED;
const random = seed === undefined ? new SeededRandom() : new SeededRandom(Number(seed));
const operations = operationsOfDocument();

let service: TestService;
let client: HostileClient;
let writes: WriteLog;
let world: World;

beforeAll(async () => {
  service = await startService({
    RATE_LIMIT_MAX: '100000000',
    WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on',
    // Nothing listens there: rules for e-mail can be made, and no message arrives.
    SMTP_URL: 'smtp://127.0.0.1:1',
    SMTP_FROM: 'accounting@example.com',
  });
  world = await makeWorld();
  client = new HostileClient(service.url, IN_FLIGHT);
  writes = await WriteLog.on(service.owner);
});
afterAll(async () => {
  client.close();
  await service.close();
});

const bearer = (sub: string, role = 'user') => ({ authorization: `Bearer ${accessToken({ sub, role })}` });

/** No server listens there, and no name server is asked. */
const NOWHERE = 'https://127.0.0.1:65530/hook';
/** Of root: half of them are there to go. */
const budgets: number[] = [];
/** Of the endpoints that are not deleted on the way. */
const deliveries: { endpoint: string; delivery: string }[] = [];

/** Users with credits, a lot, a session, a price, keys and a call in review: what good requests are about. */
async function makeWorld(): Promise<World> {
  const root = service.as('root', { role: 'admin' });
  const alice = service.as('alice');
  for (const user of [root, alice, service.as('bob'), service.as('boss', { role: 'supervisor' })]) {
    expect((await user.get('/api/credits/balance')).status).toBe(200);
  }
  for (const userId of ['root', 'alice']) {
    for (let lot = 0; lot < 20; lot++) {
      expect((await root.post('/api/credits/allocate', { userId, credits: 1_000_000_000 })).status).toBe(201);
    }
  }
  const keys: string[] = [];
  // Generated requests name keys from 10 on, so that the callers' own are not revoked.
  for (const permissions of [[], [], [], PERMISSIONS, []]) {
    const made = await alice.post('/api/api-keys', { name: 'of the test', permissions });
    keys.push(String(made.body.key));
  }
  for (let key = 0; key < 30; key++) {
    expect((await root.post('/api/api-keys', { name: 'of root' })).status).toBe(201);
  }
  for (let call = 0; call < 30; call++) {
    const review = { requestId: `review-${call}`, modelId: SONNET, tokens: 1, billingStatus: 'needs_review' };
    expect((await root.post('/api/usage/charge', review)).status).toBe(201);
    const rule = { modelId: `rule-${call}`, pricePerThousandTokens: '1' };
    expect((await root.post('/api/pricing', rule)).status).toBe(201);
  }
  for (let n = 0; n <= DISPOSABLE; n++) {
    const id = n === 0 ? ORGANISATION : `${ORGANISATION}-${n}`;
    expect((await root.post('/api/organisations', { id, name: 'Acme' })).status).toBe(201);
  }
  for (let n = 1; n <= 2 * DISPOSABLE; n++) {
    const path = `/api/organisations/${ORGANISATION}`;
    expect((await root.post(`${path}/units`, { name: `first-${n}` })).status).toBe(201);
    const member = { userId: `first-${n}`, role: 'member' };
    expect((await root.post(`${path}/members`, member)).status).toBe(201);
  }
  for (let n = 1; n <= 2 * DISPOSABLE; n++) {
    const budget = { scope: 'tag', scopeId: `run=first-${n}`, unit: 'credits', window: 'day', amount: 1000 };
    const made = await root.post<{ id: number }>('/api/budgets', budget);
    expect(made.status).toBe(201);
    budgets.push(made.body.id);
  }
  for (let session = 1; session <= OPEN_SESSIONS; session++) {
    const begin = { sessionId: `open-${session}`, modelId: SONNET, estimatedTokens: 1000 };
    expect((await root.post('/api/streaming-sessions/initialize', begin)).status).toBe(201);
  }
  for (let endpoint = 0; endpoint < 60; endpoint++)
    expect((await root.post('/api/webhooks', { url: NOWHERE })).status).toBe(201);
  const rule = { name: 'rule', channel: 'email', recipients: ['ops@example.com'] };
  for (let n = 0; n < 30; n++) expect((await root.post('/api/alert-rules', rule)).status).toBe(201);
  expect((await root.post('/api/api-keys', { name: 'announced' })).status).toBe(201);
  await service.owner.query('SELECT events_publish(1000)');
  const made = await service.owner.query<{ endpoint: string; delivery: string }>(
    'SELECT endpoint_id AS endpoint, min(id) AS delivery FROM webhook_deliveries WHERE endpoint_id <= 30 GROUP BY 1',
  );
  deliveries.push(...made.rows);
  const internal = { 'x-internal-api-key': INTERNAL_KEY };
  const callers: World['callers'] = {
    root: bearer('root', 'admin'),
    boss: bearer('boss', 'supervisor'),
    alice: bearer('alice'),
    bob: bearer('bob'),
    'key with every permission': { 'x-api-key': keys[3] as string },
    'key without permissions': { 'x-api-key': keys[4] as string },
    service: internal,
    'service for alice': { ...internal, ...bearer('alice') },
    stranger: {},
    'bad token': { authorization: 'Bearer a.b.c' },
    'expired token': { authorization: `Bearer ${accessToken({ sub: 'root' }, { expiresIn: -60 })}` },
    'no scheme': { authorization: 'root' },
    'unknown key': { 'x-api-key': `ak_${'A'.repeat(43)}` },
    'wrong service': { ...bearer('root', 'admin'), 'x-internal-api-key': 'wrong' },
    'token and key': { ...bearer('root', 'admin'), 'x-api-key': keys[3] as string },
  };
  return {
    callers,
    strangers: Object.keys(callers).slice(8),
    aptCaller: ({ security }) => (security.length === 1 && security[0] === 'internal' ? 'service' : 'root'),
    valuesFor,
  };
}

/** Ids move on with the sequence, so that things are begun, used and ended again and again. */
function valuesFor(operation: Operation, choice: SeededRandom, sequence: number): Record<string, unknown> {
  const recent = (prefix: string, every: number) =>
    `${prefix}-${Math.max(0, Math.floor(sequence / every) - choice.integer(0, 2))}`;
  const ids = operation.id.endsWith('ApiKey') ? choice.integer(10, 35) : choice.integer(1, 30);
  const values: Record<string, unknown> = {
    userId: operation.security.length === 1 ? choice.pick(['alice', 'bob', 'root']) : undefined,
    id: operation.id === 'getModelPricing' ? choice.pick([SONNET, 'gpt-4o-mini', 'rule-1']) : ids,
    timestamp: operation.body?.properties.timestamp ? new Date().toISOString() : undefined,
    expiresAt: operation.body?.properties.expiresAt ? '2999-01-01T00:00:00Z' : undefined,
    sessionId: recent('session', 60),
    requestId: recent('call', 60),
  };
  if (operation.id.includes('Webhook')) {
    values.url = NOWHERE;
    values.since = '2026-01-01T00:00:00Z';
  }
  if (operation.id === 'deleteWebhook') values.id = choice.integer(31, 60);
  if (operation.id === 'replayWebhookDelivery') {
    const { endpoint, delivery } = choice.pick(deliveries);
    Object.assign(values, { id: Number(endpoint), deliveryId: Number(delivery) });
  }
  if (['reportProgress', 'finalizeSession', 'abortSession'].includes(operation.id) && choice.chance(0.6))
    values.sessionId = `open-${choice.integer(1, OPEN_SESSIONS)}`;
  const ofFirst = (isToGo: boolean) => choice.integer(1, DISPOSABLE) + (isToGo ? DISPOSABLE : 0);
  if (operation.path.includes('/organisations')) {
    values.id = operation.id === 'archiveOrganisation' ? `${ORGANISATION}-${ofFirst(false)}` : ORGANISATION;
    if (operation.id === 'createOrganisation') values.id = `org:${recent('made', 300)}`;
    if (operation.id === 'createUnit') values.name = recent('unit', 300);
    values.userId =
      operation.id === 'addMember'
        ? recent('member', 300)
        : `first-${ofFirst(operation.id === 'removeMember')}`;
    values.unitId = operation.id === 'addMember' ? 1 : ofFirst(operation.id === 'deleteUnit');
  }
  if (operation.id === 'setGatewayAccount')
    Object.assign(values, { accountId: ORGANISATION, unitId: choice.integer(1, DISPOSABLE) });
  // The example's is of a unit, and an account without units has none.
  if (operation.id === 'createBudget')
    Object.assign(values, { scope: 'tag', scopeId: `run=${recent('tag', 300)}` });
  if (operation.path.startsWith('/api/budgets/'))
    values.id = budgets[ofFirst(operation.id === 'deleteBudget') - 1];
  if (operation.id === 'createPricingRule') values.modelId = recent('model', 300);
  if (operation.id === 'reviewUsage') Object.assign(values, { action: 'waive', version: 1 });
  const named = [
    ...operation.parameters.map(({ name }) => name),
    ...Object.keys(operation.body?.properties ?? {}),
  ];
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => value !== undefined && named.includes(name)),
  );
}

/** Node.js reads 16 kB of a request's line and headers; the client adds some that are not counted here. */
const NEARLY_TOO_LARGE = 15_000;
const sizeOf = ({ target, headers }: HostileRequest) => target.length + Object.entries(headers).join().length;

/** What is wrong with the answer; undefined when nothing is. */
function faultOf(
  request: HostileRequest,
  { status, body, headers, text }: Answer<object>,
): string | undefined {
  try {
    // What is not even HTTP belongs to no operation, and neither does what is too large to be read to its end.
    const isTooLarge = status === 431 && sizeOf(request) > NEARLY_TOO_LARGE;
    if (/^\/[\x21-\x7e]*$/.test(request.target) && !isTooLarge) {
      assertDocumented(request.method, request.target, status, headers.get('content-type') ?? '', body);
    }
    if (status >= 400 && request.method !== 'HEAD') expectProblem({ status, body, headers, text }, status);
  } catch (error) {
    return (error as Error).message;
  }
  if (status >= 500) return `answered ${status}`;
  // In the place of an id, `all` makes it the path of another operation.
  const isAnother = /\/all(?:\?|$)/.test(request.target);
  if (request.mustBeRefused && !isAnother && status < 400)
    return `answered ${status}, but the document refuses it`;
  return undefined;
}

function report(request: HostileRequest, answer: Answer<object> | undefined, fault: string): string {
  const lines = [
    `${request.operation}: ${fault}`,
    `  changes: ${request.changes.join('; ') || 'none'}`,
    `  answer: ${answer?.status} ${answer?.text.slice(0, 500)}`,
    `  ${curlOf(request)}`,
  ];
  return lines.join('\n');
}

/** Enough to see a pattern; the rest is the same again. */
const MAXIMUM_REPORTS = 20;

class Findings {
  readonly reports: string[] = [];
  readonly statuses: Record<string, number> = {};
  readonly accepted = new Set<string>();
  readonly refused = new Set<string>();
  refusalsByDocument = 0;
  writes = 0;

  add(request: HostileRequest, answer: Answer<object> | undefined, fault: string | undefined): void {
    if (answer !== undefined) {
      this.statuses[answer.status] = (this.statuses[answer.status] ?? 0) + 1;
      (answer.status < 400 ? this.accepted : this.refused).add(request.operation);
    }
    if (request.mustBeRefused) this.refusalsByDocument++;
    if (fault !== undefined && this.reports.length < MAXIMUM_REPORTS) {
      this.reports.push(report(request, answer, fault));
    }
  }
}

async function sendOne(request: HostileRequest, findings: Findings): Promise<number> {
  const answer = await client.send(request).catch((error: Error) => error);
  if (answer instanceof Error) {
    findings.add(request, undefined, `no answer: ${answer.message}`);
    return 0;
  }
  findings.add(request, answer, faultOf(request, answer));
  return answer.status;
}

/** Reading changes nothing, and neither does what the document refuses. */
const mayWrite = ({ method, mustBeRefused }: HostileRequest) =>
  !mustBeRefused && !['GET', 'HEAD', 'OPTIONS'].includes(method);

/** At once; none may write, whichever it was. */
async function sendAtOnce(requests: HostileRequest[], findings: Findings): Promise<void> {
  const queue = [...requests];
  const worker = async () => {
    for (let request = queue.shift(); request !== undefined; request = queue.shift())
      await sendOne(request, findings);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  const written = await writes.sinceLast();
  if (written.length > 0) {
    findings.reports.push(
      `one of ${requests.length} requests that may not write wrote (HOSTILE_IN_FLIGHT=1 HOSTILE_BATCH=1 shows which): ` +
        JSON.stringify(written.slice(0, 3)),
    );
  }
}

/** One after the other, so that it is known who wrote what: only what is accepted may write. */
async function sendInTurn(requests: HostileRequest[], findings: Findings): Promise<void> {
  for (const request of requests) {
    const status = await sendOne(request, findings);
    const written = await writes.sinceLast();
    findings.writes += written.length;
    if (written.length > 0 && status >= 400) {
      const fault = `answered ${status} and wrote ${JSON.stringify(written.slice(0, 3))}`;
      findings.reports.push(report(request, undefined, fault));
    }
  }
}

it(
  `${REQUESTS} requests made of the document by seed ${random.seed} are answered as it says; what is refused changes nothing`,
  { timeout: 60_000 + REQUESTS * 20 },
  async () => {
    const generator = new RequestGenerator(
      operations,
      random,
      world,
      Math.floor(REQUESTS * SHARE_OF_SINGLE_CHANGES),
    );
    const findings = new Findings();
    for (let sent = 0; sent < REQUESTS && findings.reports.length < MAXIMUM_REPORTS; sent += BATCH) {
      const batch = Array.from({ length: Math.min(BATCH, REQUESTS - sent) }, () => generator.next());
      await sendInTurn(
        batch.filter((request) => mayWrite(request)),
        findings,
      );
      await sendAtOnce(
        batch.filter((request) => !mayWrite(request)),
        findings,
      );
    }
    const { statuses, refusalsByDocument } = findings;
    console.log(
      `hostile: seed ${random.seed}, ${generator.changes} changes, ${refusalsByDocument} refused by the ` +
        `document, ${findings.writes} rows written by accepted ones, answers ${JSON.stringify(statuses)}`,
    );
    expect(findings.reports, `HOSTILE_SEED=${random.seed}\n${findings.reports.join('\n\n')}`).toEqual([]);
    await expectSoundBooks(service);
    const faults = service.logs.filter(({ level }) => Number(level) >= 50);
    expect(faults).toEqual([]);
    expect((await service.anonymous().get('/health/ready')).status).toBe(200);
    // The generator must reach both sides of every operation, or the above would say little.
    if (REQUESTS >= 20_000) {
      const all = operations.map(({ id }) => id).sort();
      expect([...findings.accepted].sort()).toEqual(all);
      expect([...findings.refused].sort()).toEqual(all);
      expect(findings.writes).toBeGreaterThan(1000);
    }
  },
);
