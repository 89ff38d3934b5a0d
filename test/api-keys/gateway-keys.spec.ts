// @module-tag two-instances
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GatewayKeysService } from '../../src/api-keys/gateway-keys.service.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { digestOf, type Fault, LitellmProxy, PROXY_DETAIL } from '../support/litellm-proxy.js';
import { waitingForLocks } from '../support/hold-up.js';
import { event, LOGS, NONE } from '../support/litellm-events.js';
import { organisation, patch } from '../support/organisations.js';
import { countByStatus, times } from '../support/money.js';
import { expectProblem, type Problem } from '../support/problems.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';

const KEYS = '/api/api-keys';
const MEGABYTE = 1_048_576;
const SETTINGS = {
  models: ['gpt-4o-mini', 'azure/gpt-4.1'],
  maxBudgetUsd: '25.5',
  rpmLimit: 60,
  tpmLimit: 1e5,
};
const NO_SETTINGS = { models: null, maxBudgetUsd: null, rpmLimit: null, tpmLimit: null };

interface Key extends Record<string, unknown> {
  id: number;
  key: string;
  isActive: boolean;
  expiresAt: string | null;
  gatewayState: string | null;
}

let proxy: LitellmProxy;
let service: TestService;
let second: TestService;
/** Every instance: what goes wrong is logged by the one that was started last. */
const started: TestService[] = [];
async function another(env: Record<string, string> = {}): Promise<TestService> {
  const instance = await service.another(env);
  started.push(instance);
  return instance;
}

beforeAll(async () => {
  proxy = await new LitellmProxy().start();
  // One connection: a request that kept it while the proxy is asked would keep every other waiting.
  const env = { LITELLM_BASE_URL: `${proxy.url}/`, LITELLM_MASTER_KEY: proxy.masterKey };
  service = await startService({ ...env, LITELLM_TIMEOUT_MS: '400', DB_POOL_SIZE: '1' });
  started.push(service);
  second = await another();
});
afterEach(() => proxy.recover());
afterAll(async () => {
  await second.close();
  await service.close();
  await proxy.stop();
});

const create = (user: HttpClient, more: object = {}): Promise<Answer<Key>> =>
  user.post<Key>(KEYS, { name: 'test', permissions: ['credits:read'], gateway: 'litellm', ...more });

async function makeKey(user: HttpClient, more: object = {}): Promise<Key> {
  const answer = await create(user, more);
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
}

const read = async (user: HttpClient, id: number): Promise<Key> =>
  (await user.get<Key>(`${KEYS}/${id}`)).body;

/** Whether a key works here, on both instances. */
async function worksHere(key: string): Promise<boolean> {
  const statuses = await Promise.all(
    [service, second].map(
      async (on) => (await on.withHeaders({ 'x-api-key': key }).get('/api/credits/balance')).status,
    ),
  );
  expect(new Set(statuses).size, 'the instances agree').toBe(1);
  return statuses[0] === 200;
}

const worksOnBothSides = async ({ key }: Key) => [await worksHere(key), proxy.serves(key)];

const verify = async (key: string) => (await service.internal().post(`${KEYS}/verify`, { key })).body;

interface Row {
  id: string;
  state: string;
  active: boolean;
}

async function rowsOf(user: HttpClient): Promise<Row[]> {
  const { rows } = await service.owner.query<Row>(
    'SELECT id, gateway_state AS state, is_active AS active FROM api_keys WHERE account_id = $1 ORDER BY id',
    [user.userId],
  );
  return rows;
}

/** What waits for its time at this user's keys is due, and creations are long past, as minutes would make it. */
async function letTimePass(user: HttpClient): Promise<void> {
  await service.owner.query(
    `UPDATE api_keys SET gateway_due_at = clock_timestamp(), created_at = created_at - interval '10 minutes',
                         gateway_unsure_until = gateway_unsure_until - interval '10 minutes'
      WHERE account_id = $1 AND gateway_due_at IS NOT NULL`,
    [user.userId],
  );
}

const sweep = (on = service) => on.get(GatewayKeysService).sweep();

/** On neither side is a key of the user's that works. */
async function expectNoneLive(user: HttpClient): Promise<void> {
  expect(proxy.liveOf(user.userId)).toEqual([]);
  expect((await rowsOf(user)).filter(({ state, active }) => state === 'live' || active)).toEqual([]);
}

async function expectAllEnded(user: HttpClient): Promise<void> {
  expect(proxy.of(user.userId)).toEqual([]);
  expect(new Set((await rowsOf(user)).map(({ state }) => state))).toEqual(new Set(['ended']));
}

/** No answer contains what is the proxy's alone. */
function expectNoneShown({ text }: Answer<object>): void {
  expect(text).not.toContain(proxy.masterKey);
  expect(text).not.toContain(PROXY_DETAIL);
  expect(text).not.toMatch(/sk-ak_[A-Za-z0-9_-]{43}/);
}

describe('POST /api-keys with gateway litellm', () => {
  it('201: the key works on both sides, with what was asked', async () => {
    const user = service.as();
    const made = await makeKey(user, SETTINGS);
    expect(made.key).toMatch(/^sk-ak_[A-Za-z0-9_-]{43}$/);
    expect(made).toMatchObject({
      ...SETTINGS,
      keyHint: `sk-ak_…${made.key.slice(-4)}`,
      isActive: true,
      gateway: 'litellm',
      gatewayState: 'live',
    });
    expect(await worksOnBothSides(made)).toEqual([true, true]);
    expect(await verify(made.key)).toMatchObject({ valid: true, code: 'valid', keyId: made.id });
    const { request } = proxy.keys.get(digestOf(made.key)) ?? {};
    expect(request).toEqual({
      key: made.key,
      key_alias: expect.stringMatching(`^accounting-${made.id}-[0-9a-f]{12}$`) as string,
      user_id: user.userId,
      blocked: true,
      key_type: 'llm_api',
      metadata: { accounting_key_id: made.id },
      models: SETTINGS.models,
      max_budget: 25.5,
      rpm_limit: 60,
      tpm_limit: 100_000,
    });
    const { key: _, ...seen } = made;
    expect(await read(user, made.id)).toEqual(seen);
    expect((await user.get<{ items: Key[] }>(KEYS)).body.items).toEqual([seen]);
  });

  it('201: without limits none are sent, and the proxy stops the key when we do', async () => {
    const user = service.as();
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const made = await makeKey(user, { expiresAt });
    expect(made).toMatchObject({ ...NO_SETTINGS, expiresAt });
    const { request, expiresAt: atProxy } = proxy.keys.get(digestOf(made.key)) ?? {};
    expect(Object.keys(request ?? {}).sort()).toEqual([
      'blocked',
      'duration',
      'key',
      'key_alias',
      'key_type',
      'metadata',
      'user_id',
    ]);
    expect(Math.abs((atProxy as number) - Date.parse(expiresAt))).toBeLessThan(5000);
  });

  it.each([
    ['its creditLimit, in USD', { creditLimit: 1250 }, 1.25],
    ['its creditLimit, when that is less than maxBudgetUsd', { creditLimit: 1, maxBudgetUsd: '25.5' }, 0.001],
    ['maxBudgetUsd, when that is less', { creditLimit: 25_501, maxBudgetUsd: '25.5' }, 25.5],
    ['nothing, when its creditLimit is 0', { creditLimit: 0 }, 0],
  ])('201: the key may spend there %s', async (_, limits, budget) => {
    const made = await makeKey(service.as(), limits);
    expect(proxy.keys.get(digestOf(made.key))?.maxBudget).toBe(budget);
  });

  it('422: never for the user id of the proxy’s own administrator', async () => {
    const answer = await create(service.as('default_user_id'));
    expectProblem(answer, 422, { code: 'gateway.user_reserved', field: 'gateway' });
    expect(proxy.of('default_user_id')).toEqual([]);
  });

  it('201: sends no duration that the proxy’s calendar cannot hold', async () => {
    const made = await makeKey(service.as(), { expiresAt: '9999-12-31T23:59:59Z' });
    expect(proxy.keys.get(digestOf(made.key))?.request.duration).toBe('3155760000s');
  });

  it('a key without a gateway is no business of the proxy', async () => {
    const user = service.as();
    const before = proxy.requests.length;
    const made = await user.post<Key>(KEYS, { name: 'plain' });
    expect(made.body).toMatchObject({ ...NO_SETTINGS, gateway: null, gatewayState: null, isActive: true });
    expect(made.body.key).toMatch(/^ak_/);
    const path = `${KEYS}/${made.body.id}`;
    expect((await user.send('PATCH', path, { expiresAt: '2030-01-01T00:00:00Z' }, {})).status).toBe(200);
    expect((await user.post(`${path}/rotate`)).status).toBe(201);
    expect((await user.delete(path)).status).toBe(204);
    expect(proxy.requests).toHaveLength(before);
  });

  it('holds no connection to the database while the proxy is asked', async () => {
    const user = service.as();
    const { arrived, release } = proxy.hold('/key/generate');
    const creation = create(user);
    await arrived;
    // The pool has one.
    const others = await times(3, () => service.as().get('/api/credits/balance'));
    expect(countByStatus(others)).toEqual({ 200: 3 });
    release();
    expect((await creation).status).toBe(201);
  });

  it('does not accept a key before the proxy has it', async () => {
    const user = service.as();
    const { arrived, release } = proxy.hold('/key/unblock');
    const creation = create(user);
    await arrived;
    const key = proxy.calls('/key/generate').at(-1)?.key as string;
    expect([await worksHere(key), proxy.serves(key)]).toEqual([false, false]);
    expect(await verify(key)).toMatchObject({ valid: false, code: 'not_found', keyId: null });
    const [shown] = (await user.get<{ items: Key[] }>(KEYS)).body.items;
    expect(shown).toMatchObject({ gatewayState: 'pending', isActive: false });
    expect((await user.post(`${KEYS}/${shown?.id}/rotate`)).status).toBe(409);
    release();
    expect(await worksOnBothSides((await creation).body)).toEqual([true, true]);
  });

  it('201: an empty list of models counts as left out, with a gateway and without', async () => {
    const user = service.as();
    expect((await makeKey(user, { models: [] })).models).toBeNull();
    expect((await user.post(KEYS, { name: 'x', models: [] })).status).toBe(201);
  });

  it('400: what only a gateway can heed is refused without one, and nonsense with one', async () => {
    const user = service.as();
    for (const [field, value] of Object.entries(SETTINGS)) {
      expectProblem(await user.post(KEYS, { name: 'x', [field]: value }), 400, { field });
    }
    for (const [field, values] of Object.entries({
      gateway: ['LiteLLM', '', 'other', ['litellm']],
      models: ['gpt-4', [''], ['a', 'a'], [1], Array.from({ length: 101 }, (_, n) => `m${n}`)],
      maxBudgetUsd: ['0', '0.00', '-1', 0, -1, '1e3', '10000000000'],
      rpmLimit: [0, -1, 1.5, '60', 1e10],
      tpmLimit: [0, -1, 1.5, '60', 1e10],
    })) {
      for (const value of values) expectProblem(await create(user, { [field]: value }), 400, { field });
    }
    expect(await rowsOf(user)).toEqual([]);
  });

  it('422: is refused where no proxy is configured, also the rotation of a key from better times', async () => {
    const plain = await another({ LITELLM_BASE_URL: '', LITELLM_MASTER_KEY: '' });
    const user = plain.as();
    expectProblem(await create(user), 422, { code: 'gateway.not_configured', field: 'gateway' });
    expect(await rowsOf(user)).toEqual([]);
    const made = await makeKey(service.as(user.userId));
    expectProblem(await user.post(`${KEYS}/${made.id}/rotate`), 422, { code: 'gateway.not_configured' });
    expect(await worksOnBothSides(made)).toEqual([true, true]);
    // It ends here at once; the proxy gets it from the first instance that knows it again.
    expect((await user.delete(`${KEYS}/${made.id}`)).status).toBe(204);
    expect(await worksOnBothSides(made)).toEqual([false, true]);
    await letTimePass(user);
    await sweep();
    await expectAllEnded(user);
    await plain.close();
  });
});

describe('Idempotency-Key with a gateway', () => {
  const body = { name: 'test', permissions: ['credits:read'], gateway: 'litellm' };
  const createOnce = (user: HttpClient, key: string) =>
    user.post<Key>(KEYS, body, { 'idempotency-key': key });

  it('201: the same creation again, and at the same time, leaves one key that works, on both sides', async () => {
    const user = service.as();
    const answers = await times(4, () => createOnce(user, 'once'));
    answers.push(await createOnce(user, 'once'));
    expect(countByStatus(answers)).toEqual({ 201: 5 });
    for (const answer of answers) expect(answer.body).toEqual(answers[0]?.body);
    expect(await worksOnBothSides(answers[0]?.body as Key)).toEqual([true, true]);
    await letTimePass(user);
    await sweep();
    expect(proxy.liveOf(user.userId)).toHaveLength(1);
    expect((await rowsOf(user)).filter(({ active }) => active)).toHaveLength(1);
  });

  it('201: the same rotation again makes no second successor', async () => {
    const user = service.as();
    const old = await makeKey(user);
    const rotate = () =>
      user.post<Key>(`${KEYS}/${old.id}/rotate`, { overlapSeconds: 60 }, { 'idempotency-key': 'rotation' });
    const answers = [await rotate(), await rotate()];
    expect(answers[1]?.body).toEqual(answers[0]?.body);
    expect(proxy.liveOf(user.userId)).toHaveLength(2);
    expect(await worksOnBothSides(answers[0]?.body as Key)).toEqual([true, true]);
  });

  it('a creation that failed may be tried again under its key', async () => {
    const user = service.as();
    proxy.fail('/key/unblock', 'hangs');
    expectProblem(await createOnce(user, 'again'), 503, {
      code: 'gateway.unavailable',
    });
    proxy.recover();
    const made = await createOnce(user, 'again');
    expect(made.status).toBe(201);
    expect(await worksOnBothSides(made.body)).toEqual([true, true]);
  });
});

const REFUSAL = { error: { message: PROXY_DETAIL, type: 'bad_request_error', param: null, code: '400' } };
const UNAVAILABLE: [number, string] = [503, 'gateway.unavailable'];
const REFUSED: [number, string] = [422, 'gateway.refused'];
const FAILED: [number, string] = [502, 'gateway.failed'];
type Step = '/key/generate' | '/key/unblock';

describe('a creation that goes wrong leaves no key that works, on either side, and a retry makes exactly one', () => {
  const unknown: Fault[] = ['hangs', 'hangsDone', 'fails', 'failsDone', 'isLost', 'isLostDone'];
  const cases: [step: Step, fault: Fault, answer: [number, string]][] = [
    ...unknown.flatMap((fault): [Step, Fault, [number, string]][] => [
      ['/key/generate', fault, UNAVAILABLE],
      ['/key/unblock', fault, UNAVAILABLE],
    ]),
    ['/key/generate', 'comesLate', UNAVAILABLE],
    ['/key/generate', { status: 200, body: { key: `sk-another ${PROXY_DETAIL}` } }, UNAVAILABLE],
    ['/key/generate', { status: 200, body: `<html>${PROXY_DETAIL}</html>` }, UNAVAILABLE],
    ['/key/generate', { status: 429, body: REFUSAL }, UNAVAILABLE],
    ['/key/generate', { status: 503, body: PROXY_DETAIL }, UNAVAILABLE],
    ['/key/generate', { status: 400, body: REFUSAL }, REFUSED],
    ['/key/generate', { status: 403, body: REFUSAL }, REFUSED],
    ['/key/generate', { status: 422, body: { detail: [PROXY_DETAIL] } }, REFUSED],
    ['/key/generate', { status: 401, body: REFUSAL }, FAILED],
    ['/key/generate', { status: 404, body: { detail: PROXY_DETAIL } }, FAILED],
    ['/key/generate', { status: 302, body: PROXY_DETAIL }, FAILED],
    ['/key/unblock', { status: 200, body: `<html>${PROXY_DETAIL}</html>` }, UNAVAILABLE],
    ['/key/unblock', { status: 400, body: REFUSAL }, FAILED],
    ['/key/unblock', { status: 404, body: REFUSAL }, FAILED],
  ];

  it.each(cases)('%s: %j → %j', async (step, fault, [status, code]) => {
    const user = service.as();
    proxy.fail(step, fault);
    const answer = (await create(user)) as unknown as Answer<Problem>;
    expectProblem(answer, status, { code });
    expectNoneShown(answer);
    await expectNoneLive(user);
    proxy.arrive();
    await expectNoneLive(user);

    const made = await makeKey(user);
    expect(await worksOnBothSides(made)).toEqual([true, true]);
    expect(proxy.liveOf(user.userId)).toHaveLength(1);
    expect((await rowsOf(user)).filter(({ state }) => state === 'live')).toHaveLength(1);

    await letTimePass(user);
    await sweep();
    expect(proxy.of(user.userId)).toHaveLength(1);
    expect((await rowsOf(user)).map(({ state }) => state)).toEqual(['ended', 'live']);
    expect(await worksOnBothSides(made)).toEqual([true, true]);
  });

  it('502: a redirection is not followed, so that the master key goes nowhere else', async () => {
    const elsewhere = await new LitellmProxy().start();
    proxy.fail('/key/generate', { status: 307, body: '', location: `${elsewhere.url}/key/generate` });
    expectProblem(await create(service.as()), 502, { code: 'gateway.failed' });
    expect(elsewhere.requests).toEqual([]);
    await elsewhere.stop();
  });

  it('503: an answer of 400 MB in 400 kB is not unpacked', async () => {
    const patient = await another({ LITELLM_TIMEOUT_MS: '10000' });
    const packed = gzipSync(Buffer.alloc(MEGABYTE, ' '));
    proxy.fail('/key/generate', { status: 200, body: Buffer.concat(Array<Buffer>(400).fill(packed)) });
    const before = process.memoryUsage.rss();
    let most = before;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 10);
    expectProblem(await create(patient.as()), 503, { code: 'gateway.unavailable' });
    clearInterval(watch);
    expect(most - before).toBeLessThan(150 * MEGABYTE);
    await patient.close();
  });

  it('503: the proxy is down', async () => {
    const user = service.as();
    await proxy.stop();
    const answer = await create(user);
    await proxy.start();
    expectProblem(answer, 503, { code: 'gateway.unavailable' });
    await expectAllEnded(user);
    await makeKey(user);
  });

  it.each<[Step, Fault, left: 'failed' | 'ending']>([
    ['/key/generate', 'isLostDone', 'failed'],
    ['/key/unblock', 'failsDone', 'ending'],
    ['/key/unblock', 'hangsDone', 'ending'],
  ])(
    '%s: %j, and taking it back fails too: the sweeper does it until it is done',
    async (step, fault, left) => {
      const user = service.as();
      proxy.fail(step, fault);
      proxy.fail('/key/delete', 'isLost');
      expectProblem(await create(user), 503, { code: 'gateway.unavailable' });
      expect(await rowsOf(user)).toMatchObject([{ state: left, active: false }]);
      expect(proxy.of(user.userId)).toHaveLength(1);

      proxy.fail('/key/delete', 'fails');
      for (const state of [left, 'ended']) {
        await letTimePass(user);
        await sweep();
        expect(await rowsOf(user)).toMatchObject([{ state }]);
      }
      await expectAllEnded(user);
    },
  );

  it('a key that the proxy makes long after the request has ended is blocked, and found', async () => {
    const user = service.as();
    proxy.fail('/key/generate', 'comesLate');
    expectProblem(await create(user), 503);
    // The proxy says that it has no such key, which is no promise that it will have none.
    expect(await rowsOf(user)).toMatchObject([{ state: 'failed', active: false }]);
    proxy.arrive();
    expect(proxy.of(user.userId)).toMatchObject([{ blocked: true }]);
    await service.owner.query(`UPDATE api_keys SET gateway_due_at = now() WHERE account_id = $1`, [
      user.userId,
    ]);
    await sweep();
    await expectAllEnded(user);
  });

  it('is shown to its owner as what it is', async () => {
    const user = service.as();
    proxy.fail('/key/generate', 'comesLate');
    await create(user);
    const [shown] = (await user.get<{ items: Key[] }>(KEYS)).body.items;
    expect(shown).toMatchObject({ gatewayState: 'failed', isActive: false, gateway: 'litellm' });
  });
});

/** Before and after the proxy has done each step. */
const MOMENTS = (['/key/generate', '/key/unblock'] as const).flatMap((step) =>
  (['before', 'after'] as const).map((when) => [step, when] as const),
);

describe('a process that dies while it makes a key', () => {
  it.each<[reached: 'pending' | 'opening', atProxy: 'nothing' | 'blocked' | 'open']>([
    ['pending', 'nothing'],
    ['pending', 'blocked'],
    ['opening', 'blocked'],
    ['opening', 'open'],
  ])('in %s, with %s at the proxy, leaves what any instance clears away', async (reached, atProxy) => {
    const user = service.as();
    const made = await makeKey(user);
    // As it is left behind: the row has come this far, and no request goes on with it.
    await service.owner.query(
      `UPDATE api_keys SET gateway_state = $2, gateway_due_at = now() + interval '2 minutes' WHERE id = $1`,
      [made.id, reached],
    );
    if (atProxy === 'nothing') proxy.keys.delete(digestOf(made.key));
    else (proxy.keys.get(digestOf(made.key)) as { blocked: boolean }).blocked = atProxy === 'blocked';

    expect(await worksHere(made.key)).toBe(false);
    await sweep(second);
    expect(await rowsOf(user)).toMatchObject([{ state: reached }]);
    await letTimePass(user);
    await sweep(second);
    await expectNoneLive(user);
    await expectAllEnded(user);
    expect(await verify(made.key)).toMatchObject({ code: 'revoked' });
  });

  it('when it only was slow, finds its key taken away, and makes none live', async () => {
    for (const [step, when] of MOMENTS) {
      const user = service.as();
      const { arrived, release } = proxy.hold(step, when);
      const creation = create(user);
      await arrived;
      await letTimePass(user);
      await sweep(second);
      release();
      const answer = await creation;
      expect([409, 502], answer.text).toContain(answer.status);
      await expectNoneLive(user);
      await expectAllEnded(user);
    }
  });

  it('when its owner revokes the key meanwhile, makes none live', async () => {
    for (const [step, when] of MOMENTS) {
      const user = service.as();
      const { arrived, release } = proxy.hold(step, when);
      const creation = create(user);
      await arrived;
      const [shown] = (await user.get<{ items: Key[] }>(KEYS)).body.items;
      expect((await second.as(user.userId).delete(`${KEYS}/${shown?.id}`)).status).toBe(204);
      release();
      const answer = await creation;
      expect([409, 502], answer.text).toContain(answer.status);
      await expectNoneLive(user);
      await expectAllEnded(user);
    }
  });
});

describe('DELETE /api-keys/:id', () => {
  it('204: the key is gone on both sides at once; again it is 204, and the proxy is left alone', async () => {
    const user = service.as();
    const made = await makeKey(user);
    expect((await second.as(user.userId).delete(`${KEYS}/${made.id}`)).status).toBe(204);
    expect(await worksOnBothSides(made)).toEqual([false, false]);
    expect(await read(user, made.id)).toMatchObject({ isActive: false, gatewayState: 'ended' });
    expect(await verify(made.key)).toMatchObject({ code: 'revoked' });
    const before = proxy.requests.length;
    expect((await user.delete(`${KEYS}/${made.id}`)).status).toBe(204);
    expect(proxy.requests).toHaveLength(before);
    await expectAllEnded(user);
  });

  it('204: by an admin too; by another user it is 404 and nothing happens', async () => {
    const made = await makeKey(service.as());
    expect((await service.as().delete(`${KEYS}/${made.id}`)).status).toBe(404);
    expect(await worksOnBothSides(made)).toEqual([true, true]);
    expect((await service.as('root', { role: 'admin' }).delete(`${KEYS}/${made.id}`)).status).toBe(204);
    expect(await worksOnBothSides(made)).toEqual([false, false]);
  });

  it('204: also when the proxy is down; the owner sees it, and it learns of it when it is up again', async () => {
    const user = service.as();
    const made = await makeKey(user);
    await proxy.stop();
    expect((await user.delete(`${KEYS}/${made.id}`)).status).toBe(204);
    expect(await worksHere(made.key)).toBe(false);
    expect(await read(user, made.id)).toMatchObject({ isActive: false, gatewayState: 'ending' });
    await letTimePass(user);
    await sweep();
    expect(await read(user, made.id)).toMatchObject({ gatewayState: 'ending' });
    await proxy.start();
    expect(proxy.serves(made.key)).toBe(true);
    // Not due again yet: the pauses grow.
    await sweep(second);
    expect(proxy.serves(made.key)).toBe(true);
    await letTimePass(user);
    await sweep(second);
    expect(proxy.serves(made.key)).toBe(false);
    expect(await read(user, made.id)).toMatchObject({ gatewayState: 'ended' });
  });

  it.each<[Fault, gone: boolean]>([
    ['hangs', false],
    ['hangsDone', true],
    ['fails', false],
    ['failsDone', true],
    ['isLost', false],
    ['isLostDone', true],
    [{ status: 401, body: REFUSAL }, false],
    // A web server where the proxy should be says nothing of the key.
    [{ status: 200, body: '<html>Maintenance</html>' }, false],
    [{ status: 200, body: { deleted_keys: [] } }, false],
    [{ status: 404, body: '<html>Not Found</html>' }, false],
    [{ status: 404, body: { detail: 'Not Found' } }, false],
    [{ status: 302, body: '' }, false],
  ])('204: %j, and the sweeper finishes it', async (fault, gone) => {
    const user = service.as();
    const made = await makeKey(user);
    proxy.fail('/key/delete', fault);
    const answer = await user.delete(`${KEYS}/${made.id}`);
    expect(answer.status, answer.text).toBe(204);
    expect(await worksOnBothSides(made)).toEqual([false, !gone]);
    expect(await read(user, made.id)).toMatchObject({ isActive: false, gatewayState: 'ending' });
    await letTimePass(user);
    await sweep();
    await expectAllEnded(user);
  });
});

describe('POST /api-keys/:id/rotate', () => {
  const rotate = (user: HttpClient, { id }: Key, overlapSeconds = 0) =>
    user.post<Key>(`${KEYS}/${id}/rotate`, { overlapSeconds });

  it('201: without an overlap the old key is gone on both sides, and the new one has its settings', async () => {
    const user = service.as();
    const old = await makeKey(user, SETTINGS);
    const answer = await rotate(user, old);
    expect(answer.status, answer.text).toBe(201);
    expect(answer.body).toMatchObject({
      ...SETTINGS,
      gateway: 'litellm',
      gatewayState: 'live',
      isActive: true,
    });
    expect(await worksOnBothSides(old)).toEqual([false, false]);
    expect(await worksOnBothSides(answer.body)).toEqual([true, true]);
    expect(proxy.of(user.userId)).toHaveLength(1);
    expect(proxy.of(user.userId)[0]?.request).toMatchObject({ models: SETTINGS.models, max_budget: 25.5 });
    expect(await read(user, old.id)).toMatchObject({ gatewayState: 'ended', isActive: false });
  });

  it('201: with an overlap both work until its end, which the proxy keeps by itself, and then the old one goes', async () => {
    const user = service.as();
    const old = await makeKey(user);
    const { body: successor } = await rotate(user, old, 3600);
    expect(await worksOnBothSides(old)).toEqual([true, true]);
    expect(await worksOnBothSides(successor)).toEqual([true, true]);
    const atProxy = proxy.keys.get(digestOf(old.key))?.expiresAt as number;
    const here = Date.parse((await read(user, old.id)).expiresAt as string);
    expect(Math.abs(atProxy - here)).toBeLessThan(5000);
    expect(proxy.keys.get(digestOf(successor.key))?.expiresAt).toBeNull();

    await service.owner.query(
      `UPDATE api_keys SET expires_at = now(), gateway_due_at = now() WHERE id = $1`,
      [old.id],
    );
    await sweep();
    expect(await worksOnBothSides(old)).toEqual([false, false]);
    expect(proxy.keys.has(digestOf(old.key))).toBe(false);
    expect(await worksOnBothSides(successor)).toEqual([true, true]);
    expect(await read(user, old.id)).toMatchObject({ gatewayState: 'ended', isActive: false });
  });

  it.each<[Step, Fault, number]>([
    ['/key/generate', 'isLostDone', 503],
    ['/key/generate', { status: 400, body: REFUSAL }, 422],
    ['/key/unblock', 'hangsDone', 503],
  ])(
    '%s: %j → %i, and the old key works on both sides as if nothing had been',
    async (step, fault, status) => {
      const user = service.as();
      const old = await makeKey(user);
      proxy.fail(step, fault);
      expectProblem(await rotate(user, old), status);
      expect(await worksOnBothSides(old)).toEqual([true, true]);
      expect(proxy.liveOf(user.userId)).toHaveLength(1);
      expect(await read(user, old.id)).toMatchObject({ expiresAt: null, gatewayState: 'live' });
      await letTimePass(user);
      await sweep();
      expect(proxy.of(user.userId)).toHaveLength(1);
      expect((await rotate(user, old)).status).toBe(201);
    },
  );

  it('409 for all but one of many at once: never two successors', async () => {
    const user = service.as();
    const old = await makeKey(user);
    const answers = await times(6, (n) => rotate(n % 2 ? user : second.as(user.userId), old));
    expect(countByStatus(answers)).toEqual({ 201: 1, 409: 5 });
    expect(proxy.of(user.userId)).toHaveLength(1);
    expect((await rowsOf(user)).filter(({ state }) => state === 'live')).toHaveLength(1);
    const winner = answers.find(({ status }) => status === 201) as Answer<Key>;
    expect(await worksOnBothSides(winner.body)).toEqual([true, true]);
  });

  it('409: again during the overlap, whose end its second successor would not survive', async () => {
    const user = service.as();
    const old = await makeKey(user);
    const { body: successor } = await rotate(user, old, 3600);
    expectProblem(await rotate(user, old, 3600), 409, { code: 'api_key.rotated' });
    expect(proxy.liveOf(user.userId)).toHaveLength(2);
    const next = await rotate(user, successor, 3600);
    expect(next).toMatchObject({ status: 201, body: { expiresAt: null } });
  });

  it('201: when the proxy cannot take the end of the overlap, it gets it later', async () => {
    const user = service.as();
    const old = await makeKey(user);
    proxy.fail('/key/update', 'isLost');
    expect((await rotate(user, old, 60)).status).toBe(201);
    expect(proxy.keys.get(digestOf(old.key))?.expiresAt).toBeNull();
    await letTimePass(user);
    await sweep();
    expect(proxy.keys.get(digestOf(old.key))?.expiresAt).toBeLessThan(Date.now() + 61_000);
  });
});

describe('an expiry', () => {
  const soon = () => new Date(Date.now() + 3_600_000).toISOString();

  it('ends the key on both sides, and the sweeper takes it away at the proxy', async () => {
    const user = service.as();
    const made = await makeKey(user, { expiresAt: soon() });
    await sweep();
    expect(await worksOnBothSides(made)).toEqual([true, true]);
    await service.owner.query(
      `UPDATE api_keys SET expires_at = now(), gateway_due_at = now() WHERE id = $1`,
      [made.id],
    );
    expect(await verify(made.key)).toMatchObject({ code: 'expired' });
    await sweep();
    await expectAllEnded(user);
    expect(await verify(made.key)).toMatchObject({ code: 'expired' });
  });

  it.each<[what: string, before: () => string | null, after: () => string | null]>([
    ['later', soon, () => '2040-01-01T00:00:00.000Z'],
    ['sooner', () => '2040-01-01T00:00:00.000Z', soon],
    ['set', () => null, soon],
    ['taken away', soon, () => null],
  ])('that is made %s holds at the proxy too, at once or when it answers again', async (_, before, after) => {
    for (const isDown of [false, true]) {
      const user = service.as();
      const made = await makeKey(user, { expiresAt: before() });
      if (isDown) proxy.fail('/key/update', 'fails');
      const expiresAt = after();
      const answer = await user.send<Key>('PATCH', `${KEYS}/${made.id}`, { expiresAt }, {});
      expect(answer).toMatchObject({ status: 200, body: { expiresAt, gatewayState: 'live' } });
      if (isDown) {
        await letTimePass(user);
        await sweep();
      }
      const { expiresAt: atProxy } = proxy.keys.get(digestOf(made.key)) ?? {};
      if (expiresAt === null) expect(atProxy).toBeNull();
      else expect(Math.abs((atProxy as number) - Date.parse(expiresAt))).toBeLessThan(5000);
      // Sent once; the sweeper has nothing more to say before the key expires.
      const calls = proxy.calls('/key/update').length;
      await sweep();
      expect(proxy.calls('/key/update')).toHaveLength(calls);
      expect(await worksOnBothSides(made)).toEqual([true, true]);
    }
  });

  it('other changes are not the proxy’s business', async () => {
    const user = service.as();
    const made = await makeKey(user);
    const before = proxy.requests.length;
    const answer = await user.send('PATCH', `${KEYS}/${made.id}`, { name: 'other' }, {});
    expect(answer.status).toBe(200);
    await sweep();
    expect(proxy.requests).toHaveLength(before);
  });
});

describe('a creditLimit', () => {
  it('that is changed or taken away holds at the proxy too, for every key of the line', async () => {
    const user = service.as();
    const old = await makeKey(user, { creditLimit: 1000 });
    const { body: successor } = await user.post<Key>(`${KEYS}/${old.id}/rotate`, { overlapSeconds: 3600 });
    const budgets = () => [old, successor].map(({ key }) => proxy.keys.get(digestOf(key))?.maxBudget);
    expect(budgets()).toEqual([1, 1]);
    for (const [creditLimit, budget] of [[2500, 2.5] as const, [null, null] as const]) {
      expect((await user.send('PATCH', `${KEYS}/${successor.id}`, { creditLimit }, {})).status).toBe(200);
      expect(budgets()[1]).toBe(budget);
      await sweep();
      expect(budgets()).toEqual([budget, budget]);
    }
  });

  it('that is changed while the change before it is sent is sent again', async () => {
    const user = service.as();
    const made = await makeKey(user);
    const change = (creditLimit: number) => user.send('PATCH', `${KEYS}/${made.id}`, { creditLimit }, {});
    const { arrived, release } = proxy.hold('/key/update', 'after');
    const first = change(1000);
    await arrived;
    proxy.fail('/key/update', 'fails');
    await change(2000);
    release();
    expect((await first).status).toBe(200);
    await letTimePass(user);
    await sweep();
    expect(proxy.keys.get(digestOf(made.key))?.maxBudget).toBe(2);
  });
});

describe('a key of an organisation', () => {
  const setAccount = async (accountId: string, kind: 'team' | 'organization', more: object = {}) => {
    const externalId = freshUser(kind);
    const root = service.as('root', { role: 'admin' });
    const body = { accountId, kind, externalId, ...more };
    const answer = await root.send('PUT', '/api/integrations/litellm/accounts', body, {});
    expect(answer.status, answer.text).toBe(200);
    return externalId;
  };
  const requestOf = ({ key }: Key) => proxy.keys.get(digestOf(key))?.request ?? {};

  it('is its maker’s at the proxy, counts for the organisation, and has its limit there', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const alice = await acme.member('member');
    const made = await makeKey(alice, { accountId: acme.id, creditLimit: 1250 });
    const { user_id, max_budget, team_id, organization_id } = requestOf(made);
    expect([user_id, max_budget, team_id, organization_id]).toEqual([
      alice.userId,
      1.25,
      undefined,
      undefined,
    ]);
    const call = event({ keyHash: digestOf(made.key), user: alice.userId });
    expect((await service.internal().post(LOGS, [call])).body).toEqual({ ...NONE, accepted: 1 });
    const path = `${KEYS}/${made.id}?accountId=${acme.id}`;
    for (const by of [alice, acme.owner]) expect((await by.get(path)).body).toMatchObject({ creditsUsed: 3 });
    // The owners and admins of the organisation may change and end it.
    expect((await patch(acme.owner, path, { creditLimit: 500 })).status).toBe(200);
    expect(proxy.keys.get(digestOf(made.key))?.maxBudget).toBe(0.5);
    const rotated = await alice.post<Key>(`${KEYS}/${made.id}/rotate?accountId=${acme.id}`);
    expect(rotated.status, rotated.text).toBe(201);
    expect(requestOf(rotated.body)).toMatchObject({ user_id: alice.userId, max_budget: 0.5 });
    expect(proxy.serves(made.key)).toBe(false);
  });

  it('is another member’s business only for those who manage the organisation', async () => {
    const acme = await organisation(service);
    const [alice, bob] = [await acme.member('member'), await acme.member('member')];
    const made = await makeKey(alice, { accountId: acme.id });
    const path = `${KEYS}/${made.id}?accountId=${acme.id}`;
    const listOf = async (by: HttpClient) =>
      (await by.get<{ items: Key[] }>(`${KEYS}?accountId=${acme.id}`)).body.items.map(({ id }) => id);
    expect([await listOf(alice), await listOf(bob), await listOf(acme.owner)]).toEqual([
      [made.id],
      [],
      [made.id],
    ]);
    expectProblem(await bob.get(path), 404, { code: 'api_key.not_found' });
    expectProblem(await bob.delete(path), 404, { code: 'api_key.not_found' });
    expect(proxy.serves(made.key)).toBe(true);
  });

  it('is made in the team of its maker’s unit, else in one of the organisation’s, else in its organization', async () => {
    const acme = await organisation(service);
    const research = await acme.unit('Research');
    const lab = await acme.unit('Lab', research);
    const [top, inLab, outside] = [
      await acme.member('member', { unitId: research }),
      await acme.member('member', { unitId: lab }),
      await acme.member('member'),
    ];
    const groupsOf = () =>
      Promise.all(
        [top, inLab, outside].map(async (member) => {
          const { team_id, organization_id } = requestOf(await makeKey(member, { accountId: acme.id }));
          return team_id ?? organization_id;
        }),
      );
    const organization = await setAccount(acme.id, 'organization');
    expect(await groupsOf()).toEqual([organization, organization, organization]);
    const team = await setAccount(acme.id, 'team');
    expect(await groupsOf()).toEqual([team, team, team]);
    const ofResearch = await setAccount(acme.id, 'team', { unitId: research });
    expect(await groupsOf()).toEqual([ofResearch, ofResearch, team]);
    const ofLab = await setAccount(acme.id, 'team', { unitId: lab });
    expect(await groupsOf()).toEqual([ofResearch, ofLab, team]);
    // A personal key is in none of them.
    expect(requestOf(await makeKey(inLab))).not.toHaveProperty('team_id');
  });

  it('422 when the proxy does not know the organization that is set', async () => {
    const acme = await organisation(service);
    const alice = await acme.member('member');
    await setAccount(acme.id, 'organization');
    proxy.fail('/key/generate', { status: 400, body: { error: { message: 'Organization not found' } } });
    expectProblem(await create(alice, { accountId: acme.id }), 422, { code: 'gateway.refused' });
    expect(proxy.of(alice.userId)).toEqual([]);
  });

  it('ends on both sides when its maker is removed', async () => {
    const acme = await organisation(service);
    const alice = await acme.member('member');
    const made = await makeKey(alice, { accountId: acme.id });
    await acme.owner.delete(`${acme.path}/members/${alice.userId}`);
    await sweep();
    expect(await worksOnBothSides(made)).toEqual([false, false]);
  });
});

describe('changes whose requests overlap at the proxy', () => {
  const budgetOf = ({ key }: Key) => proxy.keys.get(digestOf(key))?.maxBudget;
  const limit = (user: HttpClient, { id }: Key, creditLimit: number, on = service) =>
    on.as(user.userId).send('PATCH', `${KEYS}/${id}`, { creditLimit }, {});
  /** The next look at this user's keys, while a request that was lost may still come. */
  async function sweepSoon(user: HttpClient): Promise<void> {
    await service.owner.query(
      'UPDATE api_keys SET gateway_due_at = now() WHERE account_id = $1 AND gateway_due_at IS NOT NULL',
      [user.userId],
    );
    await sweep();
  }
  /** Keys of the user's that the sweeper must still look at. */
  const due = async (user: HttpClient) =>
    (
      await service.owner.query('SELECT FROM api_keys WHERE account_id = $1 AND gateway_due_at IS NOT NULL', [
        user.userId,
      ])
    ).rowCount;

  it('hold as the last one says, also when the proxy carries out the first one after it', async () => {
    const user = service.as();
    const made = await makeKey(user);
    proxy.fail('/key/update', 'comesLate');
    await limit(user, made, 1000);
    await limit(user, made, 2000);
    await sweepSoon(user);
    proxy.arrive();
    expect(budgetOf(made)).toBe(1);
    expect(await due(user)).toBe(1);
    await sweepSoon(user);
    expect(budgetOf(made)).toBe(2);
    await letTimePass(user);
    await sweep();
    expect([budgetOf(made), await due(user)]).toEqual([2, 0]);
  });

  it('hold as the last one says when the first is still under way, at another instance', async () => {
    const user = service.as();
    const made = await makeKey(user);
    const { arrived, release } = proxy.hold('/key/update');
    const first = limit(user, made, 1000, second);
    await arrived;
    await limit(user, made, 2000);
    release();
    await first;
    await expect.poll(() => budgetOf(made)).toBe(1);
    await sweepSoon(user);
    expect(budgetOf(made)).toBe(2);
    await letTimePass(user);
    await sweep();
    expect(await due(user)).toBe(0);
  });

  it('hold as the last one says when it is written while the first is about to be sent', async () => {
    const user = service.as();
    const made = await makeKey(user, { expiresAt: '2040-01-01T00:00:00.000Z' });
    const other = await service.owner.connect();
    await other.query('BEGIN');
    await other.query('SELECT api_key_update($1, $2)', [
      user.userId,
      {
        accountId: user.userId,
        id: made.id,
        changes: { creditLimit: 2000 },
        origin: { actor: user.userId, role: 'user' },
      },
    ]);
    const sending = service.get(GatewayKeysService).follow(user.userId, made.id);
    await expect.poll(() => waitingForLocks(service)).toBe(1);
    await other.query('COMMIT');
    other.release();
    await sending;
    expect(budgetOf(made)).toBe(2);
  });

  it('hold for a successor that is being made meanwhile', async () => {
    const user = service.as();
    const old = await makeKey(user, { creditLimit: 1000 });
    const { arrived, release } = proxy.hold('/key/generate', 'after');
    const rotating = user.post<Key>(`${KEYS}/${old.id}/rotate`, { overlapSeconds: 60 });
    await arrived;
    await limit(user, old, 2000, second);
    release();
    const { body: successor } = await rotating;
    await sweep();
    expect([budgetOf(old), budgetOf(successor)]).toEqual([2, 2]);
  });

  it('hold whatever is lost, late or repeated, and no request is made any more when all is settled', async () => {
    const random = new SeededRandom();
    const faults = ['comesLate', 'isLost', 'isLostDone', 'failsDone', null, null] as const;
    for (let round = 0; round < 12; round++) {
      const user = service.as();
      const made = await makeKey(user);
      for (let step = 1; step <= 6; step++) {
        const fault = random.pick(faults);
        if (fault !== null) proxy.fail('/key/update', fault);
        if (random.chance(0.7)) await limit(user, made, step * 1000, random.pick([service, second]));
        else await sweepSoon(user);
        if (random.chance(0.3)) proxy.arrive();
      }
      proxy.recover();
      await limit(user, made, 9000);
      await sweepSoon(user);
      proxy.arrive();
      for (let pass = 0; pass < 2; pass++) {
        await letTimePass(user);
        await sweep();
      }
      expect([budgetOf(made), await due(user)], `seed ${random.seed}, round ${round}`).toEqual([9, 0]);
    }
  });
});

describe('the sweeper', () => {
  it('of two instances at once does each key once', async () => {
    const user = service.as();
    const made = await times(24, () => makeKey(user));
    await proxy.stop();
    const answers = await times(24, (n) => user.delete(`${KEYS}/${made[n]?.id}`));
    expect(countByStatus(answers)).toEqual({ 204: 24 });
    await proxy.start();
    await letTimePass(user);
    const before = proxy.calls('/key/delete').length;
    const swept = await Promise.all([sweep(), sweep(second), sweep(), sweep(second)]);
    expect(swept.reduce((sum, count) => sum + count)).toBe(24);
    expect(proxy.calls('/key/delete')).toHaveLength(before + 24);
    await expectAllEnded(user);
  });

  it('leaves a key to the instance that has it in hand, and goes on with the next', async () => {
    const user = service.as();
    const made = await times(2, () => makeKey(user));
    await proxy.stop();
    for (const { id } of made) await user.delete(`${KEYS}/${id}`);
    await proxy.start();
    await letTimePass(user);
    const other = await service.owner.connect();
    await other.query('BEGIN');
    await other.query(
      'SELECT FROM api_keys WHERE account_id = $1 ORDER BY gateway_due_at LIMIT 1 FOR UPDATE',
      [user.userId],
    );
    expect(await sweep()).toBe(1);
    await other.query('COMMIT');
    other.release();
    expect(proxy.of(user.userId)).toHaveLength(1);
    expect(await sweep()).toBe(1);
    await expectAllEnded(user);
  });

  it('asks a proxy that does not answer a few times in a pass, not once for every key', async () => {
    const user = service.as();
    const made = await times(9, () => makeKey(user));
    await proxy.stop();
    await times(9, (n) => user.delete(`${KEYS}/${made[n]?.id}`));
    await letTimePass(user);
    expect(await sweep()).toBeLessThan(5);
    await proxy.start();
    await letTimePass(user);
    expect(await sweep()).toBe(9);
    await expectAllEnded(user);
  });

  it('ends keys that have worked before it looks after creations that failed, and waits for no slow one', async () => {
    const [user, other] = [service.as(), service.as()];
    const made = await times(3, () => makeKey(user));
    for (let failed = 0; failed < 8; failed++) {
      proxy.fail('/key/generate', 'isLost');
      expectProblem(await create(other), 503);
    }
    await proxy.stop();
    await times(3, (n) => user.delete(`${KEYS}/${made[n]?.id}`));
    await proxy.start();
    await service.owner.query(
      `UPDATE api_keys SET gateway_due_at = now() - CASE account_id WHEN $1 THEN interval '1 s' ELSE interval '1 h' END
        WHERE account_id IN ($1, $2)`,
      [user.userId, other.userId],
    );
    const before = proxy.calls('/key/delete').length;
    const { arrived, release } = proxy.hold('/key/delete');
    const swept = sweep();
    await arrived;
    await expect.poll(() => proxy.of(user.userId).length).toBe(1);
    release();
    expect(await swept).toBe(11);
    const asked = proxy.calls('/key/delete').slice(before, before + 3);
    expect(asked.map(({ keys }) => (keys as string[])[0]).sort()).toEqual(
      made.map(({ key }) => digestOf(key)).sort(),
    );
    await letTimePass(other);
    await sweep();
    await expectAllEnded(user);
  });

  it('runs by itself, on an instance that is configured to', async () => {
    const user = service.as();
    const made = await makeKey(user);
    await proxy.stop();
    await user.delete(`${KEYS}/${made.id}`);
    await proxy.start();
    await letTimePass(user);
    const sweeping = await another({ SWEEP_INTERVAL_SECONDS: '1' });
    await expect.poll(() => proxy.of(user.userId), { timeout: 10_000 }).toEqual([]);
    await sweeping.close();
  });
});

describe('the configuration', () => {
  it.each<[string, Record<string, string>]>([
    ['LITELLM_MASTER_KEY', { LITELLM_MASTER_KEY: '' }],
    ['LITELLM_BASE_URL', { LITELLM_BASE_URL: '' }],
    ['LITELLM_BASE_URL', { LITELLM_BASE_URL: 'litellm:4000' }],
    ['LITELLM_BASE_URL', { LITELLM_BASE_URL: 'ftp://litellm.example.com' }],
    ['LITELLM_BASE_URL', { LITELLM_BASE_URL: 'https://user:secret@litellm.example.com' }],
    ['LITELLM_BASE_URL', { LITELLM_BASE_URL: 'https://litellm.example.com/?a=b' }],
    ['LITELLM_MASTER_KEY', { LITELLM_MASTER_KEY: 'sk-1' }],
    ['LITELLM_MASTER_KEY', { LITELLM_MASTER_KEY: 'sk-with a space' }],
    ['LITELLM_TIMEOUT_MS', { LITELLM_TIMEOUT_MS: '60000' }],
  ])('that is wrong stops the start and names %s: %j', async (name, env) => {
    const failure = await another(env).catch((error: Error) => error);
    expect(failure).toBeInstanceOf(Error);
    expect((failure as Error).message).toContain(name);
    for (const secret of ['user:secret', 'sk-1', 'a space'])
      expect((failure as Error).message).not.toContain(secret);
  });

  it('a wrong master key makes no keys, and is shown to no caller', async () => {
    const wrong = 'sk-wrong-master-key-0123456789';
    const other = await another({ LITELLM_MASTER_KEY: wrong });
    const user = other.as(freshUser());
    const answer = (await create(user)) as unknown as Answer<Problem>;
    expectProblem(answer, 502, { code: 'gateway.failed' });
    expect(answer.text).not.toContain(wrong);
    await expectAllEnded(user);
    expect(JSON.stringify(other.logs)).not.toContain(wrong);
    await other.close();
  });
});

it('nothing of the above has put the master key, a key or a word of the proxy into the logs', () => {
  const logs = JSON.stringify(started.map((instance) => instance.logs));
  expect(logs.includes('is not settled')).toBe(true);
  for (const secret of [proxy.masterKey, PROXY_DETAIL]) expect(logs.includes(secret)).toBe(false);
  expect(/ak_[A-Za-z0-9_-]{43}/.test(logs)).toBe(false);
});
