// @module-tag two-instances
// @module-tag pooler
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ApiKeyLastUse } from '../../src/auth/api-key-last-use.js';
import type { HttpClient } from '../support/http-client.js';
import {
  balanceOf,
  countByStatus,
  expectSoundBooks,
  expireLots,
  initialize,
  SONNET,
  times,
  userWithCredits,
} from '../support/money.js';
import { startDatabaseProxy } from '../support/database-proxy.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, INTERNAL_KEY, startService, type TestService } from '../support/service.js';

const KEYS = '/api/api-keys';
const ALL = ['credits:read', 'usage:read', 'usage:write', 'sessions:write', 'pricing:read'];

interface Key extends Record<string, unknown> {
  id: number;
  key: string;
  keyHint: string;
  isActive: boolean;
  creditLimit: number | null;
  creditsUsed: number;
  expiresAt: string | null;
  lastUsed: string | null;
}

let service: TestService;
let second: TestService;
beforeAll(async () => {
  service = await startService();
  second = await service.another();
});
afterAll(async () => {
  await expectSoundBooks(service);
  await second.close();
  await service.close();
});

async function makeKey(user: HttpClient, more: Record<string, unknown> = {}): Promise<Key> {
  const answer = await user.post<Key>(KEYS, { name: 'test', permissions: ALL, ...more });
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
}
const withKey = (key: string, on = service): HttpClient => on.withHeaders({ 'x-api-key': key });
const works = async (key: string, on = service) =>
  (await withKey(key, on).get('/api/credits/balance')).status;
const verify = async (key: string, permission?: string) =>
  (await service.internal().post(`${KEYS}/verify`, { key, ...(permission ? { permission } : {}) })).body;
const settleAll = (client: HttpClient, sessionId: string, actualTokens: number) =>
  client.post('/api/streaming-sessions/finalize', { sessionId, actualTokens });

describe('POST /api-keys', () => {
  it('201: shows a key of 256 random bits once, and keeps nothing but its SHA-256', async () => {
    const user = await userWithCredits(service, 10);
    const made = await makeKey(user, { permissions: ['credits:read'], creditLimit: 5 });
    expect(made.key).toMatch(/^ak_[A-Za-z0-9_-]{43}$/);
    expect(made.keyHint).toBe(`ak_…${made.key.slice(-4)}`);
    expect(made).toMatchObject({
      permissions: ['credits:read'],
      creditLimit: 5,
      creditsUsed: 0,
      isActive: true,
    });
    const { rows } = await service.owner.query<{ key: string; everything: string }>(
      'SELECT key, k::text AS everything FROM api_keys k WHERE id = $1',
      [made.id],
    );
    expect(rows[0]?.key).toBe(createHash('sha256').update(made.key).digest('hex'));
    expect(rows[0]?.everything).not.toContain(made.key);
    for (const path of [KEYS, `${KEYS}/${made.id}`]) {
      const seen = await user.get(path);
      expect(seen.text).not.toContain(made.key);
      expect(seen.text).not.toContain(rows[0]?.key);
    }
    expect(JSON.stringify(service.logs)).not.toContain(made.key);
  });

  it('makes keys that all differ', async () => {
    const user = await userWithCredits(service);
    const keys = await times(20, () => makeKey(user));
    expect(new Set(keys.map(({ key }) => key)).size).toBe(20);
  });

  it('409: at most 1,000 active keys, also when many are made at once', async () => {
    const user = await userWithCredits(service);
    await service.owner.query(
      `INSERT INTO api_keys (account_id, user_id, key, key_hint, name)
       SELECT $1::varchar, $1::varchar, md5($1::varchar || n) || md5(n || $1::varchar), 'x', 'x' FROM generate_series(1, 998) n`,
      [user.userId],
    );
    const answers = await times(6, () => user.post(KEYS, { name: 'one more' }));
    expect(countByStatus(answers)).toEqual({ 201: 2, 409: 4 });
  });
});

/** Fills a user's list up to so many active keys. */
async function fillUp(user: HttpClient, count: number): Promise<void> {
  await service.owner.query(
    `INSERT INTO api_keys (account_id, user_id, key, key_hint, name)
     SELECT $1::varchar, $1::varchar, md5($1::varchar || n) || md5(n || $1::varchar), 'x', 'x' FROM generate_series(1, $2::int) n`,
    [user.userId, count],
  );
}

const activeKeys = async (user: HttpClient) => {
  const { rows } = await service.owner.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM api_keys
      WHERE account_id = $1 AND is_active AND coalesce(expires_at > now(), TRUE)`,
    [user.userId],
  );
  return rows[0]?.count;
};

describe('the limit of 1,000 active keys and rotation', () => {
  it('409: parallel rotations with an overlap fill it up exactly', async () => {
    const user = await userWithCredits(service);
    const made = await times(8, () => makeKey(user));
    await fillUp(user, 989);
    const rotations = await times(8, (index) =>
      user.post(`${KEYS}/${made[index]?.id}/rotate`, { overlapSeconds: 3600 }),
    );
    expect(countByStatus(rotations)).toEqual({ 201: 3, 409: 5 });
    expect(rotations.find(({ status }) => status === 409)?.body.code).toBe('api_key.too_many');
    expect(await activeKeys(user)).toBe(1000);
    // A refused rotation leaves the old key as it was.
    const ends = await times(
      8,
      async (index) => (await user.get<Key>(`${KEYS}/${made[index]?.id}`)).body.expiresAt,
    );
    expect(ends.filter((time) => time === null)).toHaveLength(5);
  });

  it('201: a key that stops at once makes room for its successor', async () => {
    const user = await userWithCredits(service);
    const { id } = await makeKey(user);
    await fillUp(user, 999);
    expect((await user.post(`${KEYS}/${id}/rotate`, { overlapSeconds: 1 })).status).toBe(409);
    expect((await user.post(`${KEYS}/${id}/rotate`)).status).toBe(201);
    expect(await activeKeys(user)).toBe(1000);
  });
});

describe('Idempotency-Key', () => {
  const once = (key: string) => ({ 'idempotency-key': key });
  const all = async (user: HttpClient) => (await user.get<{ items: Key[] }>(KEYS)).body.items;

  it('201: the same creation again gets the same answer with the same key, also at the same time', async () => {
    const user = await userWithCredits(service);
    const idempotencyKey = `create-${freshUser()}`;
    const body = { name: 'nightly', permissions: ['credits:read'], creditLimit: 7 };
    const answers = await times(10, () => user.post<Key>(KEYS, body, once(idempotencyKey)));
    answers.push(await user.post<Key>(KEYS, { ...body, expiresAt: null }, once(idempotencyKey)));
    expect(countByStatus(answers)).toEqual({ 201: 11 });
    for (const { body: same } of answers) expect(same).toEqual(answers[0]?.body);
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')).toHaveLength(10);
    expect(await all(user)).toHaveLength(1);
    expect(await works(answers[10]?.body.key as string)).toBe(200);
    const { rows } = await service.owner.query<{ row: string }>(
      'SELECT i::text AS row FROM idempotency_keys i WHERE caller_id = $1',
      [`user:${user.userId}`],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]?.row).not.toContain(answers[0]?.body.key);
    // What opens the sealed key is not beside it.
    expect(rows[0]?.row).not.toContain(idempotencyKey);
  });

  it('422: the same key with another request, and another user does not meet it', async () => {
    const [user, other] = [await userWithCredits(service), await userWithCredits(service)];
    const made = await user.post<Key>(KEYS, { name: 'a' }, once('k-1'));
    for (const answer of [
      await user.post(KEYS, { name: 'b' }, once('k-1')),
      await user.post(`${KEYS}/${made.body.id}/rotate`, {}, once('k-1')),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([422, 'idempotency.mismatch']);
    }
    const theirs = await other.post<Key>(KEYS, { name: 'a' }, once('k-1'));
    expect(theirs.status).toBe(201);
    expect(theirs.body.key).not.toBe(made.body.key);
    expect(await works(made.body.key)).not.toBe(401);
  });

  it('201: the same rotation again makes no second successor, also when the old key has ended by it', async () => {
    const user = await userWithCredits(service);
    const old = await makeKey(user);
    const answers = await times(6, () => user.post<Key>(`${KEYS}/${old.id}/rotate`, {}, once('turn')));
    expect(countByStatus(answers)).toEqual({ 201: 6 });
    for (const { body } of answers) expect(body).toEqual(answers[0]?.body);
    expect(await all(user)).toHaveLength(2);
    expect(await works(answers[0]?.body.key as string)).toBe(200);
  });

  it('a refused creation may be tried again under its key', async () => {
    const user = await userWithCredits(service);
    await fillUp(user, 1000);
    expect((await user.post(KEYS, { name: 'x' }, once('later'))).status).toBe(409);
    await service.owner.query(
      'UPDATE api_keys SET expires_at = now() WHERE id = (SELECT min(id) FROM api_keys WHERE account_id = $1)',
      [user.userId],
    );
    expect((await user.post(KEYS, { name: 'x' }, once('later'))).status).toBe(201);
  });
});

describe('changes of keys and the connections of everyone', () => {
  it('100 at once keep at most one connection waiting, and no user from a hold', async () => {
    const user = await userWithCredits(service, 10);
    const victim = await userWithCredits(service, 1000);
    const lock = await service.owner.connect();
    await lock.query('BEGIN');
    await lock.query('SELECT api_key_lock($1)', [user.userId]);
    const changes = times(100, (index) => user.post(KEYS, { name: `k${index}` }));
    const waiting = async () => {
      const { rows } = await service.owner.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event = 'advisory'`,
      );
      return rows[0]?.count as number;
    };
    await expect.poll(waiting).toBeGreaterThan(0);
    const holds = await times(20, (index) => initialize(victim, `beside-${index}`));
    expect(countByStatus(holds)).toEqual({ 201: 20 });
    // One connection for each instance.
    expect(await waiting()).toBeLessThanOrEqual(Number(process.env.TEST_INSTANCES ?? 1));
    await lock.query('COMMIT');
    lock.release();
    expect(countByStatus(await changes)).toEqual({ 201: 100 });
  });
});

describe('a key', () => {
  it('acts for its owner, whatever it names', async () => {
    const user = await userWithCredits(service, 100);
    const client = withKey((await makeKey(user)).key);
    expect(await balanceOf(client)).toEqual(await balanceOf(user));
    expect((await initialize(client, 's')).body).toMatchObject({ userId: user.userId });
    const foreign = await initialize(client, 't', { userId: freshUser('other') });
    expect([foreign.status, foreign.body.code]).toEqual([403, 'auth.foreign_user']);
    const ledger = await user.get<{ items: { actor: string }[] }>('/api/credits/ledger');
    expect(ledger.body.items[0]?.actor).toMatch(/^service:api-key-\d+$/);
    await settleAll(user, 's', 10);
  });

  it('401: unknown, malformed, revoked and expired keys are the same to the caller', async () => {
    const user = await userWithCredits(service, 100);
    const revoked = await makeKey(user);
    await user.delete(`${KEYS}/${revoked.id}`);
    const expired = await makeKey(user, { expiresAt: new Date(Date.now() + 60_000).toISOString() });
    await service.owner.query(`UPDATE api_keys SET expires_at = now() WHERE id = $1`, [expired.id]);
    const answers = await Promise.all(
      ['', 'x', `ak_${'A'.repeat(43)}`, revoked.key, expired.key, `${expired.key}x`].map((key) =>
        withKey(key).get('/api/credits/balance'),
      ),
    );
    for (const answer of answers) {
      expect([answer.status, answer.body.code, answer.body.detail]).toEqual([
        401,
        'auth.invalid_api_key',
        'Invalid API key',
      ]);
    }
  });

  it('401: is refused beside an access token, rather than guessing whose request it is', async () => {
    const user = await userWithCredits(service, 100);
    const { key } = await makeKey(user);
    const answer = await user.get('/api/credits/balance', { 'x-api-key': key });
    expect([answer.status, answer.body.code]).toEqual([401, 'auth.ambiguous_credentials']);
  });

  it('503, not 401, when the database cannot be asked', async () => {
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const cut = await service.another({ DATABASE_URL: proxy.url, DB_CONNECT_TIMEOUT_MS: '300' });
    const { key } = await makeKey(await userWithCredits(service));
    expect(await works(key, cut)).toBe(200);
    proxy.cut();
    expect(await works(key, cut)).toBe(503);
    proxy.restore();
    expect(await works(key, cut)).toBe(200);
    await cut.close();
    await proxy.close();
  });

  it('never manages keys', async () => {
    const user = await userWithCredits(service);
    const made = await makeKey(user);
    const client = withKey(made.key);
    for (const answer of [
      await client.post(KEYS, { name: 'child' }),
      await client.get(KEYS),
      await client.post(`${KEYS}/${made.id}/rotate`),
      await client.delete(`${KEYS}/${made.id}`),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([403, 'auth.user_token_required']);
    }
  });
});

describe('DELETE /api-keys/:id', () => {
  it('204: the key fails on the next request, on every instance; again it is 204', async () => {
    const user = await userWithCredits(service);
    const made = await times(10, () => makeKey(user));
    for (const { id, key } of made) {
      expect([await works(key), await works(key, second)]).toEqual([200, 200]);
      expect((await user.delete(`${KEYS}/${id}`)).status).toBe(204);
      expect(await works(key, second)).toBe(401);
      expect(await works(key)).toBe(401);
    }
    expect((await user.delete(`${KEYS}/${made[0]?.id}`)).status).toBe(204);
  });

  it("404: another user's key is as one that does not exist, for each call; an admin may end it", async () => {
    const [alice, bob] = [await userWithCredits(service), await userWithCredits(service)];
    const { id, key } = await makeKey(alice);
    for (const target of [id, 999_999_999]) {
      const answers = [
        await bob.get(`${KEYS}/${target}`),
        await bob.send<Record<string, unknown>>('PATCH', `${KEYS}/${target}`, { name: 'mine' }, {}),
        await bob.post(`${KEYS}/${target}/rotate`),
        await bob.delete(`${KEYS}/${target}`),
      ];
      for (const { status, body } of answers) {
        expect([status, body.code, body.detail]).toEqual([404, 'api_key.not_found', 'API key not found']);
      }
    }
    expect((await bob.get<{ items: Key[] }>(KEYS)).body.items).toEqual([]);
    expect(await works(key)).toBe(200);
    const root = service.as('root', { role: 'admin' });
    expect((await root.delete(`${KEYS}/${id}`)).status).toBe(204);
    expect(await works(key)).toBe(401);
    expect((await root.delete(`${KEYS}/999999999`)).status).toBe(404);
  });
});

describe('PATCH /api-keys/:id', () => {
  it('200: changes what is given, and takes effect on the next request', async () => {
    const user = await userWithCredits(service);
    const { id, key } = await makeKey(user, { expiresAt: '2090-01-01T00:00:00Z', creditLimit: 5 });
    const patch = (body: object) => user.send<Key>('PATCH', `${KEYS}/${id}`, body, {});
    expect((await patch({ permissions: [] })).body).toMatchObject({ permissions: [], creditLimit: 5 });
    expect(await works(key)).toBe(403);
    expect(
      (await patch({ permissions: ['credits:read'], expiresAt: null, creditLimit: null })).body,
    ).toMatchObject({
      expiresAt: null,
      creditLimit: null,
    });
    expect(await works(key)).toBe(200);
    await user.delete(`${KEYS}/${id}`);
    expect((await patch({ name: 'x' })).status).toBe(409);
  });

  it('400 for a later end of a key that was rotated: only its successor goes on', async () => {
    const user = service.as();
    const { id } = await makeKey(user);
    await user.post(`${KEYS}/${id}/rotate`, { overlapSeconds: 3600 });
    const { expiresAt } = (await user.get<Key>(`${KEYS}/${id}`)).body;
    const patch = (body: object) => user.send<Key>('PATCH', `${KEYS}/${id}`, body, {});
    for (const later of [null, '2090-01-01T00:00:00Z']) {
      const refused = await patch({ expiresAt: later });
      expectProblem(refused, 400, { code: 'validation.failed' });
      expect(refused.text).toContain('expiresAt');
    }
    expect((await patch({ name: 'old', expiresAt })).body).toMatchObject({ name: 'old', expiresAt });
    const sooner = new Date(Date.now() + 60_000).toISOString();
    expect((await patch({ expiresAt: sooner })).body).toMatchObject({ expiresAt: sooner });
  });
});

describe('POST /api-keys/:id/rotate', () => {
  it('201: the successor works at once, the old key until the end of the overlap, on every instance', async () => {
    const user = await userWithCredits(service);
    const old = await makeKey(user);
    const rotated = await user.post<Key>(`${KEYS}/${old.id}/rotate`, { overlapSeconds: 3600 });
    expect(rotated.status).toBe(201);
    expect([await works(old.key, second), await works(rotated.body.key, second)]).toEqual([200, 200]);
    const { expiresAt } = (await user.get<Key>(`${KEYS}/${old.id}`)).body;
    const left = Date.parse(expiresAt as string) - Date.now();
    expect(left).toBeGreaterThan(3_590_000);
    expect(left).toBeLessThanOrEqual(3_600_000);
    await service.owner.query('UPDATE api_keys SET expires_at = now() WHERE id = $1', [old.id]);
    expect([await works(old.key, second), await works(rotated.body.key, second)]).toEqual([401, 200]);
    expect((await user.post(`${KEYS}/${old.id}/rotate`)).status).toBe(409);
  });

  it('409: a second time during the overlap, under whose end another successor would stop too', async () => {
    const user = await userWithCredits(service);
    const old = await makeKey(user);
    const rotate = (id: number, key: string) =>
      user.post<Key>(`${KEYS}/${id}/rotate`, { overlapSeconds: 60 }, { 'idempotency-key': key });
    const first = await rotate(old.id, 'first');
    expectProblem(await rotate(old.id, 'second'), 409, { code: 'api_key.rotated' });
    expect((await rotate(old.id, 'first')).body).toEqual(first.body);
    expect((await rotate(first.body.id, 'next')).body.expiresAt).toBeNull();
  });

  it('201: without an overlap the old key stops at once; an overlap never prolongs an expiry', async () => {
    const user = await userWithCredits(service);
    const old = await makeKey(user);
    const rotated = await user.post<Key>(`${KEYS}/${old.id}/rotate`);
    expect([await works(old.key), await works(rotated.body.key)]).toEqual([401, 200]);
    const soon = new Date(Date.now() + 60_000).toISOString();
    const ending = await makeKey(user, { expiresAt: soon });
    const next = await user.post<Key>(`${KEYS}/${ending.id}/rotate`, { overlapSeconds: 3600 });
    expect(next.body.expiresAt).toBe(soon);
    expect((await user.get<Key>(`${KEYS}/${ending.id}`)).body.expiresAt).toBe(soon);
  });

  it('the successor inherits what is left of the limit, and both count for it', async () => {
    const user = await userWithCredits(service, 1000);
    const old = await makeKey(user, { creditLimit: 8 });
    await initialize(withKey(old.key), 'old');
    const rotated = await user.post<Key>(`${KEYS}/${old.id}/rotate`, { overlapSeconds: 3600 });
    expect(rotated.body).toMatchObject({ creditLimit: 8, creditsUsed: 4 });
    expect((await initialize(withKey(rotated.body.key), 'new')).status).toBe(201);
    for (const { key } of [old, rotated.body]) {
      expect((await initialize(withKey(key), 'more')).body.code).toBe('budget.exceeded');
    }
  });
});

describe('the sessions of an owner', () => {
  const SESSIONS = '/api/streaming-sessions';
  const idsOf = async (client: HttpClient) =>
    (await client.get<{ sessionId: string }[]>(`${SESSIONS}/active`)).body.map(({ sessionId }) => sessionId);

  it('404 for a key that they were not started with, which does not see them; the owner sees all', async () => {
    const user = await userWithCredits(service, 1000);
    const [one, other] = [await makeKey(user), await makeKey(user)];
    await initialize(user, 'of-the-owner');
    await initialize(withKey(one.key), 'of-one');
    await initialize(withKey(other.key), 'of-the-other');
    expect(await idsOf(withKey(one.key))).toEqual(['of-one']);
    expect((await idsOf(user)).sort()).toEqual(['of-one', 'of-the-other', 'of-the-owner']);
    const before = await balanceOf(user);
    for (const sessionId of ['of-the-owner', 'of-the-other', 'of-no-key']) {
      for (const [step, body] of [
        ['progress', { tokensGenerated: 90_000 }],
        ['finalize', { actualTokens: 90_000 }],
        ['abort', { tokensGenerated: 90_000 }],
      ] as const) {
        const answer = await withKey(one.key).post(`${SESSIONS}/${step}`, { sessionId, ...body });
        expectProblem(answer, 404, { code: 'session.not_found' });
      }
    }
    expectProblem(await initialize(withKey(one.key), 'of-the-owner'), 409, { code: 'session.conflict' });
    expect(await balanceOf(user)).toEqual(before);
    expect((await settleAll(user, 'of-the-other', 1000)).status).toBe(200);
    expect((await settleAll(withKey(one.key), 'of-the-other', 1000)).status).toBe(404);
    const trusted = service.withHeaders({ 'x-api-key': one.key, 'x-internal-api-key': INTERNAL_KEY });
    expect((await settleAll(trusted, 'of-the-owner', 1000)).status).toBe(200);
  });

  it('200 for the successor of the key that they were started with', async () => {
    const user = await userWithCredits(service, 1000);
    const first = await makeKey(user);
    await initialize(withKey(first.key), 'of-the-line');
    const rotated = await user.post<Key>(`${KEYS}/${first.id}/rotate`, { overlapSeconds: 60 });
    const next = await user.post<Key>(`${KEYS}/${rotated.body.id}/rotate`, { overlapSeconds: 60 });
    for (const { key } of [first, rotated.body, next.body])
      expect(await idsOf(withKey(key))).toEqual(['of-the-line']);
    const progress = { sessionId: 'of-the-line', tokensGenerated: 10 };
    expect((await withKey(next.body.key).post(`${SESSIONS}/progress`, progress)).status).toBe(200);
    expect((await settleAll(withKey(rotated.body.key), 'of-the-line', 1000)).status).toBe(200);
  });
});

describe('creditLimit', () => {
  it('402: counts holds, exactly, under 100 parallel starts over two instances', async () => {
    const user = await userWithCredits(service, 1000);
    const { id, key } = await makeKey(user, { creditLimit: 42 });
    const answers = await times(100, (index) =>
      initialize(withKey(key, index % 2 ? service : second), `s${index}`),
    );
    expect(countByStatus(answers)).toEqual({ 201: 10, 402: 90 });
    const refused = answers.find(({ status }) => status === 402);
    expect(refused?.body).toMatchObject({
      code: 'budget.exceeded',
      requiredCredits: 4,
      availableCredits: 2,
    });
    expect((await user.get<Key>(`${KEYS}/${id}`)).body.creditsUsed).toBe(40);
    // The balance is not what is short: the user themself may go on.
    expect((await initialize(user, 'own')).status).toBe(201);
  });

  it('gives back what a session did not use, and counts what it did', async () => {
    const user = await userWithCredits(service, 1000);
    const { id, key } = await makeKey(user, { creditLimit: 10 });
    const client = withKey(key);
    const used = async () => (await user.get<Key>(`${KEYS}/${id}`)).body.creditsUsed;
    await initialize(client, 'a');
    expect(await used()).toBe(4);
    // Settled by another caller: the session's own key counts.
    await settleAll(user, 'a', 100);
    expect(await used()).toBe(1);
    await initialize(client, 'b');
    await client.post('/api/streaming-sessions/abort', { sessionId: 'b', tokensGenerated: 0 });
    expect(await used()).toBe(1);
    await client.post('/api/usage/charge', { requestId: 'c', modelId: SONNET, tokens: 1000 });
    expect(await used()).toBe(4);
    const most = await initialize(client, 'd', { estimatedTokens: 100_000 });
    expect(most.body).toMatchObject({
      code: 'budget.exceeded',
      availableCredits: 6,
      maxAffordableTokens: 1666,
    });
    expect((await initialize(client, 'e', { estimatedTokens: 1666 })).status).toBe(201);
    expect((await initialize(client, 'f', { estimatedTokens: 1 })).status).toBe(402);
  });

  it('stops a stream that would outgrow it, and still takes the bill of a finished call', async () => {
    const user = await userWithCredits(service, 1000);
    const { id, key } = await makeKey(user, { creditLimit: 6 });
    const client = withKey(key);
    await initialize(client, 's');
    const progress = await client.post('/api/streaming-sessions/progress', {
      sessionId: 's',
      tokensGenerated: 1900,
    });
    expect(progress.body).toMatchObject({ allocatedCredits: 6, shouldStop: true, maxAffordableTokens: 2000 });
    expect((await settleAll(client, 's', 3000)).body).toMatchObject({ actualCredits: 9, uncollected: 0 });
    expect((await user.get<Key>(`${KEYS}/${id}`)).body.creditsUsed).toBe(9);
    expect(await verify(key)).toMatchObject({ valid: false, code: 'over_limit', availableCredits: 0 });
  });

  it('402 names what is short: the balance, or only the limit; POST /credits/check counts both', async () => {
    const user = await userWithCredits(service, 100);
    const { key } = await makeKey(user, { creditLimit: 10 });
    const client = withKey(key);
    for (const [credits, code, availableCredits] of [
      [60, 'budget.exceeded', 10],
      [600, 'credits.insufficient', 100],
    ] as const) {
      const refusal = { status: 402, body: { code, requiredCredits: credits, availableCredits } };
      const tokens = (credits * 1000) / 3;
      expect(await initialize(client, 's', { estimatedTokens: Math.floor(tokens / 1.2) })).toMatchObject(
        refusal,
      );
      const charge = { requestId: 'c', modelId: SONNET, tokens };
      expect(await client.post('/api/usage/charge', charge)).toMatchObject(refusal);
    }
    const check = async (caller: HttpClient, requiredCredits: number) =>
      (await caller.post('/api/credits/check', { requiredCredits })).body;
    expect(await check(client, 10)).toMatchObject({ hasSufficientCredits: true, availableCredits: 10 });
    expect(await check(client, 11)).toMatchObject({ hasSufficientCredits: false, availableCredits: 10 });
    expect(await check(user, 11)).toMatchObject({ hasSufficientCredits: true, availableCredits: 100 });
  });

  it('402: holds for charges, exactly, under 50 parallel ones', async () => {
    const user = await userWithCredits(service, 1000);
    const { key } = await makeKey(user, { creditLimit: 30 });
    const answers = await times(50, (index) =>
      withKey(key).post('/api/usage/charge', { requestId: `c${index}`, modelId: SONNET, tokens: 1000 }),
    );
    expect(countByStatus(answers)).toEqual({ 201: 10, 402: 40 });
    expect((await balanceOf(user)).totalCredits).toBe(970);
  });
});

describe('POST /api-keys/verify', () => {
  it('200: says what a key is good for, and why it is not', async () => {
    const user = await userWithCredits(service, 100);
    const made = await makeKey(user, { permissions: ['credits:read'], creditLimit: 30 });
    expect(await verify(made.key, 'credits:read')).toEqual({
      valid: true,
      code: 'valid',
      keyId: made.id,
      accountId: user.userId,
      userId: user.userId,
      permissions: ['credits:read'],
      expiresAt: null,
      availableCredits: 30,
    });
    const useless = { valid: false, availableCredits: 0 };
    expect(await verify(made.key, 'usage:write')).toMatchObject({ ...useless, code: 'missing_permission' });
    await service.owner.query(`UPDATE api_keys SET expires_at = now() WHERE id = $1`, [made.id]);
    expect(await verify(made.key)).toMatchObject({ ...useless, code: 'expired', keyId: made.id });
    await user.delete(`${KEYS}/${made.id}`);
    expect(await verify(made.key)).toMatchObject({ ...useless, code: 'revoked' });
    for (const unknown of [`ak_${'A'.repeat(43)}`, 'x', '🔑']) {
      expect(await verify(unknown)).toEqual({
        valid: false,
        code: 'not_found',
        keyId: null,
        accountId: null,
        userId: null,
        permissions: [],
        expiresAt: null,
        availableCredits: null,
      });
    }
  });

  it('returns the balance where the key has no limit, without what has expired', async () => {
    const user = await userWithCredits(service, 100);
    const { key } = await makeKey(user);
    expect(await verify(key)).toMatchObject({ availableCredits: 100 });
    await expireLots(service, user, [100]);
    expect(await verify(key)).toMatchObject({ availableCredits: 0 });
  });
});

describe('lists', () => {
  it('show own keys newest first, a supervisor those of a user', async () => {
    const user = await userWithCredits(service);
    const made = [await makeKey(user), await makeKey(user), await makeKey(user)];
    const page = await user.get<{ items: Key[]; nextCursor: string }>(`${KEYS}?limit=2`);
    expect(page.body.items.map(({ id }) => id)).toEqual([made[2]?.id, made[1]?.id]);
    const rest = await user.get<{ items: Key[] }>(`${KEYS}?limit=2&cursor=${page.body.nextCursor}`);
    expect(rest.body.items.map(({ id }) => id)).toEqual([made[0]?.id]);
    const boss = service.as('boss', { role: 'supervisor' });
    expect((await boss.get(`${KEYS}/user/${user.userId}?limit=2`)).body).toEqual(page.body);
    expect((await boss.get(`${KEYS}/user/${freshUser()}`)).status).toBe(404);
  });
});

describe('lastUsed', () => {
  it('is written in batches afterwards, never while a request waits, and once a minute at the most', async () => {
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const watched = await service.another({ DATABASE_URL: proxy.url, DB_POOL_SIZE: '1' });
    const user = await userWithCredits(service);
    const keys = await times(5, () => makeKey(user));
    const lastUsed = async ({ id }: Key) => (await user.get<Key>(`${KEYS}/${id}`)).body.lastUsed;
    await works(keys[0]?.key as string, watched);
    proxy.taken();
    for (const { key } of keys) for (let again = 0; again < 3; again++) await works(key, watched);
    expect(proxy.taken().filter((statement) => statement !== 'credit_balance')).toEqual(
      Array(15).fill('api_keys_live'),
    );
    expect(await lastUsed(keys[0] as Key)).toBeNull();
    await watched.get(ApiKeyLastUse).flush();
    expect(proxy.taken()).toEqual(['api_keys_last_used']);
    const written = await lastUsed(keys[0] as Key);
    expect(Date.now() - Date.parse(written as string)).toBeLessThan(60_000);
    await watched.get(ApiKeyLastUse).flush();
    expect(proxy.taken()).toEqual([]);
    // At most once a minute for each key, and what was noted last when the service stops.
    await works(keys[0]?.key as string, watched);
    await watched.get(ApiKeyLastUse).flush();
    expect(await lastUsed(keys[0] as Key)).toBe(written);
    await service.owner.query(
      `UPDATE api_keys SET last_used = last_used - interval '1 minute' WHERE id = $1`,
      [keys[0]?.id],
    );
    await works(keys[0]?.key as string, watched);
    await watched.close();
    expect(Date.parse((await lastUsed(keys[0] as Key)) as string)).toBeGreaterThan(
      Date.parse(written as string),
    );
    await proxy.close();
  });
});

describe('expiries are judged by the clock of the database', () => {
  const DAY = 86_400_000;
  afterEach(() => void vi.useRealTimers());

  it.each([
    ['fast', DAY],
    ['slow', -DAY],
  ])('when the clock of the service is a day %s', async (_, by) => {
    const at = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString();
    const [soon, past] = [at(3_600_000), at(-3_600_000)];
    const farther = at(7_200_000);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + by });
    const user = service.as();
    const make = (expiresAt: string) =>
      user.post('/api/api-keys', { name: 'k', permissions: ['credits:read'], expiresAt });
    expect(await make(past)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'expiresAt', message: 'must be in the future' }] },
    });
    const made = await make(soon);
    expect(made).toMatchObject({ status: 201, body: { isActive: true, expiresAt: soon } });
    const path = `/api/api-keys/${String(made.body.id)}`;
    expect((await user.send('PATCH', path, { expiresAt: past }, {})).status).toBe(400);
    expect(await user.send('PATCH', path, { expiresAt: farther }, {})).toMatchObject({
      status: 200,
      body: { isActive: true, expiresAt: farther },
    });
    const states = async () => {
      const { key } = made.body;
      const verified = await service.internal().post('/api/api-keys/verify', { key });
      const used = await service.withHeaders({ 'x-api-key': String(key) }).get('/api/credits/balance');
      const listed = await user.get<{ items: { isActive: boolean }[] }>('/api/api-keys');
      const one = await user.get(path);
      return [verified.body.code, used.status, listed.body.items[0]?.isActive, one.body.isActive];
    };
    expect(await states()).toEqual(['valid', 200, true, true]);
    await service.owner.query(
      `UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE account_id = $1`,
      [user.userId],
    );
    expect(await states()).toEqual(['expired', 401, false, false]);
  });
});
