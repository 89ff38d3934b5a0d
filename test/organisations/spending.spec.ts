// @module-tag cluster
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import { waitingForLocks } from '../support/hold-up.js';
import type { HttpClient } from '../support/http-client.js';
import { expectSoundBooks, SONNET } from '../support/money.js';
import { eventsOf, organisation, patch, type TestOrganisation } from '../support/organisations.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
let acme: TestOrganisation;
let team: number;
let alice: HttpClient;
let bob: HttpClient;
let billing: HttpClient;
let stranger: HttpClient;
beforeAll(async () => {
  service = await startService();
  acme = await organisation(service);
  await acme.allocate(1000);
  team = await acme.unit('team');
  alice = await acme.member('member', { unitId: team });
  bob = await acme.member('member');
  billing = await acme.member('billing');
  stranger = service.as();
  // The same session id twice, of two members; and a charge.
  for (const user of [alice, bob]) {
    expect(await acme.start(user, 's', { tags: { feature: 'search' } })).toMatchObject({ status: 201 });
    expect(await acme.finalize(user, 's', 1000)).toMatchObject({ status: 200, body: { actualCredits: 3 } });
  }
  const charge = { requestId: 'c', accountId: acme.id, modelId: SONNET, tokens: 2000 };
  expect(await alice.post('/api/usage/charge', charge)).toMatchObject({ status: 201 });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

const ofAcme = () => `accountId=${acme.id}`;
const items = async (user: HttpClient, path: string) => {
  const answer = await user.get<{ items: Record<string, unknown>[] }>(`/api${path}?${ofAcme()}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.body.items;
};

describe('what an organisation pays', () => {
  it('comes out of its balance, and records and ledger know who spent, where and what for', async () => {
    expect((await acme.owner.get(`/api/credits/balance?${ofAcme()}`)).body).toMatchObject({
      accountId: acme.id,
      totalCredits: 1000 - 3 - 3 - 6,
    });
    const [charged, settled] = await items(alice, '/usage/records');
    expect(charged).toMatchObject({ accountId: acme.id, userId: alice.userId, unitId: team, tags: null });
    expect(settled).toMatchObject({ unitId: team, tags: { feature: 'search' }, sessionId: 's' });
    expect((await items(acme.owner, '/credits/ledger'))[0]).toMatchObject({
      userId: alice.userId,
      unitId: team,
      kind: 'charge',
    });
    const ofSession = (await items(alice, '/credits/ledger')).filter(({ sessionId }) => sessionId === 's');
    expect(ofSession.map(({ kind, tags }) => [kind, tags])).toEqual([
      ['refund', { feature: 'search' }],
      ['hold', { feature: 'search' }],
    ]);
    // Nothing of it is the member's own.
    expect((await alice.get('/api/credits/balance')).body).toMatchObject({
      accountId: alice.userId,
      totalCredits: 0,
    });
    expect((await alice.get<{ items: object[] }>('/api/usage/records')).body.items).toEqual([]);
  });

  it('members see what is theirs; owners and billing people everything; strangers nothing', async () => {
    for (const [user, records, credits] of [
      [bob, 1, 3],
      [alice, 2, 9],
      [billing, 3, 12],
      [acme.owner, 3, 12],
    ] as const) {
      expect(await items(user, '/usage/records')).toHaveLength(records);
      const stats = (await user.get(`/api/usage/stats?${ofAcme()}`)).body;
      expect(stats).toMatchObject({ accountId: acme.id, totalRecords: records, totalCredits: credits });
      const { classes } = (
        await user.get<{ classes: { quantity: number }[] }>(`/api/usage/classes?${ofAcme()}`)
      ).body;
      expect(classes[0]?.quantity).toBe((credits * 1000) / 3);
      const entries = await items(user, '/credits/ledger');
      const theirs = entries.filter(({ userId }) => userId === user.userId || userId === null);
      expect(entries.length === theirs.length).toBe(records < 3);
    }
    const [newest] = await items(acme.owner, '/usage/records');
    const details = (user: HttpClient) => user.get(`/api/usage/records/${String(newest?.id)}`);
    expect([await details(alice), await details(billing)].map(({ status }) => status)).toEqual([200, 200]);
    expect([await details(bob), await details(stranger)].map(({ status }) => status)).toEqual([404, 404]);
    expect(await alice.get(`/api/credits/forecast?${ofAcme()}`)).toMatchObject({ status: 403 });
    expect(await billing.get(`/api/credits/forecast?${ofAcme()}`)).toMatchObject({ status: 200 });
    expect(await alice.get(`/api/events?${ofAcme()}`)).toMatchObject({ status: 403 });
    await items(billing, '/events');
  });

  it('is found by admins, by its requests and sessions', async () => {
    const root = service.as('root', { role: 'admin' });
    const found = async (query: string) => {
      const path = `/api/usage/records/all?userId=${acme.id}&${query}`;
      const answer = await root.get<{ items: { userId: string }[] }>(path);
      expect(answer.status, answer.text).toBe(200);
      return answer.body.items.map(({ userId }) => userId);
    };
    expect(await found('sessionId=s')).toEqual([bob.userId, alice.userId]);
    expect(await found('requestId=c')).toEqual([alice.userId]);
    expect(await found('billingStatus=needs_review')).toEqual([]);
  });

  it('a plain member’s balance is what they can spend, without the lots and the holds of all', async () => {
    const other = await organisation(service);
    await other.allocate(100);
    await other.budget({ scope: 'each_member', unit: 'credits', window: 'day', amount: 30 });
    const [plain, billing] = [await other.member('member'), await other.member('billing')];
    expect((await other.start(plain, 's')).body).toMatchObject({ remainingCredits: 26 });
    const path = `accountId=${other.id}`;
    expect((await plain.get(`/api/credits/balance?${path}`)).body).toEqual({
      ...{ accountId: other.id, userId: other.id, totalCredits: 26, heldCredits: 0, activeAllocations: [] },
    });
    const [mine] = (
      await plain.get<{ accountId: string; availableCredits: number }[]>('/api/accounts/mine')
    ).body.filter(({ accountId }) => accountId === other.id);
    expect(mine?.availableCredits).toBe(26);
    for (const client of [other.owner, billing, other.boss])
      expect((await client.get(`/api/credits/balance?${path}`)).body).toMatchObject({
        ...{ totalCredits: 96, heldCredits: 4, activeAllocations: [{ credits: 96 }] },
      });
    expect((await billing.get(`/api/credits/low-threshold?${path}`)).status).toBe(200);
    expect(await plain.get(`/api/credits/low-threshold?${path}`)).toMatchObject({
      ...{ status: 403, body: { code: 'account.role_required' } },
    });
    await other.finalize(plain, 's', 1);
    const call = { requestId: 'c', accountId: other.id, modelId: SONNET, tokens: 1000 };
    for (let time = 0; time < 2; time++)
      expect((await plain.post('/api/usage/charge', call)).body).toMatchObject({ totalCredits: 26 });
    const balances = async (user: HttpClient) =>
      (
        await user.get<{ items: { balanceAfter: number | null }[] }>(`/api/credits/ledger?${path}`)
      ).body.items.map(({ balanceAfter }) => balanceAfter);
    expect(new Set(await balances(plain))).toEqual(new Set([null]));
    expect((await balances(billing))[0]).toBe(96);
  });

  it.each([
    ['GET', '/credits/balance'],
    ['GET', '/credits/ledger'],
    ['GET', '/credits/forecast'],
    ['GET', '/usage/records'],
    ['GET', '/usage/stats'],
    ['GET', '/usage/classes'],
    ['GET', '/streaming-sessions/active'],
    ['GET', '/api-keys'],
    ['GET', '/budgets'],
    ['GET', '/events'],
    ['POST', '/credits/check', { requiredCredits: 1 }],
    ['POST', '/streaming-sessions/initialize', { sessionId: 'x', modelId: SONNET, estimatedTokens: 1 }],
    ['POST', '/streaming-sessions/progress', { sessionId: 's', tokensGenerated: 1 }],
    ['POST', '/streaming-sessions/finalize', { sessionId: 's', actualTokens: 1 }],
    ['POST', '/streaming-sessions/abort', { sessionId: 's' }],
    ['POST', '/usage/charge', { requestId: 'x', modelId: SONNET, tokens: 1 }],
    ['POST', '/usage/record', { service: 'x', operation: 'x', credits: 1 }],
    ['POST', '/api-keys', { name: 'k' }],
  ] as const)('404 for a user who is not a member: %s %s', async (method, path, body?: object) => {
    const isQuery = method === 'GET' || path === '/credits/check';
    const answer = await stranger.send(
      method,
      `/api${path}${isQuery ? `?${ofAcme()}` : ''}`,
      body === undefined ? undefined : { ...body, ...(isQuery ? {} : { accountId: acme.id }) },
      {},
    );
    expect(answer.status, answer.text).toBe(404);
    const unknown = await stranger.send(
      method,
      `/api${path}${isQuery ? '?accountId=org:there-is-none' : ''}`,
      body === undefined ? undefined : { ...body, ...(isQuery ? {} : { accountId: 'org:there-is-none' }) },
      {},
    );
    expect([unknown.status, (unknown.body as { code?: string }).code]).toEqual([
      404,
      (answer.body as { code?: string }).code,
    ]);
  });

  it('another user’s personal account is not there, for a user and for a trusted service that names one', async () => {
    expect(await alice.get(`/api/credits/balance?accountId=${bob.userId}`)).toMatchObject({ status: 404 });
    const initialize = { sessionId: 'y', modelId: SONNET, estimatedTokens: 1, accountId: bob.userId };
    expect(await alice.post('/api/streaming-sessions/initialize', initialize)).toMatchObject({ status: 404 });
    const named = { ...initialize, userId: alice.userId };
    expect(await service.internal().post('/api/streaming-sessions/initialize', named)).toMatchObject({
      status: 404,
    });
    const ofMember = { ...named, sessionId: 'named', accountId: acme.id };
    expect(await service.internal().post('/api/streaming-sessions/initialize', ofMember)).toMatchObject({
      status: 201,
      body: { accountId: acme.id, userId: alice.userId },
    });
    await acme.finalize(alice, 'named', 1);
  });

  it('by a key of it: it spends from the organisation for who made it, and ends with the membership', async () => {
    const carol = await acme.member('member', { unitId: team });
    const { body: key } = await carol.post<{ id: number; key: string }>('/api/api-keys', {
      ...{ accountId: acme.id, name: 'k', permissions: ['sessions:write', 'usage:read', 'usage:write'] },
    });
    const client = service.withHeaders({ 'x-api-key': key.key });
    const charge = (requestId: string, more: object = {}) =>
      client.post('/api/usage/charge', { requestId, modelId: SONNET, tokens: 1000, ...more });
    expect(await charge('k1')).toMatchObject({
      status: 201,
      body: { record: { accountId: acme.id, userId: carol.userId, unitId: team, apiKeyId: key.id } },
    });
    expect((await client.get<{ items: object[] }>('/api/usage/records')).body.items).toHaveLength(1);
    expect(await charge('k2', { accountId: 'org:there-is-none' })).toMatchObject({ status: 404 });
    const verified = await service.internal().post('/api/api-keys/verify', { key: key.key });
    expect(verified.body).toMatchObject({ valid: true, accountId: acme.id, userId: carol.userId });
    expect(await alice.get(`/api/api-keys/${key.id}?${ofAcme()}`)).toMatchObject({ status: 404 });
    expect(await acme.owner.get(`/api/api-keys/${key.id}?${ofAcme()}`)).toMatchObject({
      ...{ status: 200, body: { accountId: acme.id, userId: carol.userId } },
    });
    expect((await acme.owner.delete(`${acme.path}/members/${carol.userId}`)).status).toBe(204);
    expect(await charge('k3')).toMatchObject({ status: 401 });
    expect(await acme.start(carol, 'gone')).toMatchObject({ status: 404 });
  });

  it('members change and revoke their own keys, owners and admins everyone’s; only its maker rotates a key', async () => {
    const erin = await acme.member('member');
    const admin = await acme.member('admin');
    const boss = service.as('a-supervisor', { role: 'supervisor' });
    const keyOf = async (user: HttpClient, accountId?: string) =>
      (await user.post<{ id: number }>('/api/api-keys', { accountId, name: 'k' })).body.id;
    const tryAll = async (user: HttpClient, id: number, query = ofAcme()) => {
      const path = `/api/api-keys/${id}`;
      const answers = [
        await patch(user, `${path}?${query}`, { name: 'changed' }),
        await user.post(`${path}/rotate?${query}`, {}),
        await user.delete(`${path}?${query}`),
      ];
      return answers.map(({ status }) => status);
    };
    const ofErin = await keyOf(erin, acme.id);
    for (const user of [alice, billing, stranger])
      expect(await tryAll(user, ofErin)).toEqual([404, 404, 404]);
    expect(await tryAll(erin, ofErin)).toEqual([200, 201, 204]);
    for (const user of [admin, acme.owner, boss]) {
      expect(await tryAll(user, await keyOf(erin, acme.id))).toEqual([200, 404, 204]);
    }
    // A personal key is its user's alone.
    const personal = await keyOf(erin);
    expect(await tryAll(boss, personal, `accountId=${erin.userId}`)).toEqual([404, 404, 404]);
    expect(await tryAll(acme.owner, personal, `accountId=${erin.userId}`)).toEqual([404, 404, 404]);
  });

  it('a charge that is repeated after its member was removed is answered as the first time', async () => {
    const old = await organisation(service);
    await old.allocate(100);
    const carol = await old.member('member');
    const charge = (requestId: string) =>
      service.internal().post('/api/usage/charge', {
        ...{ accountId: old.id, userId: carol.userId, requestId, modelId: SONNET, tokens: 1000 },
      });
    const first = await charge('call-1');
    expect(first.status).toBe(201);
    expect((await old.owner.delete(`${old.path}/members/${carol.userId}`)).status).toBe(204);
    expect((await charge('call-1')).body).toEqual(first.body);
    expect(await charge('call-2')).toMatchObject({ status: 404, body: { code: 'account.not_found' } });
  });

  it('not by a member who was removed: what runs ends within its hold', async () => {
    const frank = await acme.member('member');
    const started = await acme.start(frank, 'left');
    expect(started).toMatchObject({ status: 201, body: { allocatedCredits: 4 } });
    const path = `${acme.path}/members/${frank.userId}`;
    expect((await acme.owner.delete(path)).status).toBe(204);
    const report = (tokensGenerated: number) =>
      frank.post('/api/streaming-sessions/progress', {
        ...{ sessionId: 'left', accountId: acme.id, tokensGenerated },
      });
    expect(await report(100_000)).toMatchObject({
      status: 200,
      body: {
        ...{ shouldStop: true, reason: 'account.not_found', limits: [], allocatedCredits: 4 },
        expiresAt: started.body.expiresAt as string,
      },
    });
    await acme.member('member', { userId: frank.userId });
    expect(await report(100_002)).toMatchObject({ body: { shouldStop: false, allocatedCredits: 362 } });
    expect(await acme.finalize(frank, 'left', 1000)).toMatchObject({ status: 200 });
  });

  it.each(['finalize', 'late finalize', 'late finalize of an archived organisation'])(
    'not above its hold by a member who was removed, or after the archive: %s',
    async (how) => {
      const own = await organisation(service);
      await own.allocate(1000);
      const gone = await own.member('member');
      expect(await own.start(gone, 's')).toMatchObject({ status: 201, body: { allocatedCredits: 4 } });
      if (how !== 'finalize') {
        await service.owner.query(
          'UPDATE streaming_sessions SET expires_at = now() WHERE account_id = $1 AND session_id = $2',
          [own.id, 's'],
        );
        await service.get(StreamingSessionsSweeper).sweep();
      }
      if (how.endsWith('organisation')) {
        expect((await own.owner.post(`${own.path}/archive`)).status).toBe(200);
      } else expect((await own.owner.delete(`${own.path}/members/${gone.userId}`)).status).toBe(204);
      const collected = how === 'finalize' ? 4 : 0;
      expect(await own.finalize(gone, 's', 1_000_000)).toMatchObject({
        status: 200,
        body: { actualCredits: 3000, uncollected: 3000 - collected },
      });
      expect((await own.owner.get(`/api/credits/balance?accountId=${own.id}`)).body).toMatchObject({
        totalCredits: 1000 - collected,
      });
    },
  );

  it('a requestId is one member’s own: it neither refuses nor repeats a colleague’s charge', async () => {
    const charge = { requestId: 'call-1', accountId: acme.id, modelId: SONNET, tokens: 1000 };
    for (const user of [alice, bob]) {
      const first = await user.post<{ record: { userId: string } }>('/api/usage/charge', charge);
      expect(first).toMatchObject({ status: 201, body: { record: { userId: user.userId } } });
      expect(await user.post('/api/usage/charge', charge)).toMatchObject({ status: 200, body: first.body });
    }
  });

  it.each(['made', 'rotated'])('no key is %s while its maker is being removed', async (how) => {
    const dave = await acme.member('member');
    const make = () => dave.post<{ id: number }>('/api/api-keys', { accountId: acme.id, name: 'k' });
    const { id } = (await make()).body;
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('DELETE FROM members WHERE account_id = $1 AND user_id = $2', [acme.id, dave.userId]);
    const making = how === 'made' ? make() : dave.post(`/api/api-keys/${id}/rotate?${ofAcme()}`, {});
    await expect.poll(() => waitingForLocks(service), { interval: 5, timeout: 5000 }).toBe(1);
    await gate.query('COMMIT');
    gate.release();
    expect(await making).toMatchObject({ status: 404 });
  });

  it('no key is made while it is being archived', async () => {
    const old = await organisation(service);
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('UPDATE organisations SET archived_at = now() WHERE account_id = $1', [old.id]);
    const making = old.owner.post('/api/api-keys', { accountId: old.id, name: 'k' });
    await expect.poll(() => waitingForLocks(service), { interval: 5, timeout: 5000 }).toBe(1);
    await gate.query('COMMIT');
    gate.release();
    expect(await making).toMatchObject({ status: 404 });
  });

  it('not once it is archived; its books stay', async () => {
    const old = await organisation(service);
    await old.allocate(10);
    await old.start(old.owner, 's');
    expect((await old.owner.post(`${old.path}/archive`)).status).toBe(409);
    await old.finalize(old.owner, 's', 1000);
    const makeKey = () =>
      old.owner.post<{ id: number; key: string }>('/api/api-keys', { accountId: old.id, name: 'k' });
    const { id, key } = (await makeKey()).body;
    expect((await old.owner.post(`${old.path}/archive`)).status).toBe(200);
    expect(await old.start(old.owner, 't')).toMatchObject({ status: 404 });
    // Nor does anything say that it could pay.
    const asked = await old.owner.post(`/api/credits/check?accountId=${old.id}`, { requiredCredits: 1 });
    expect(asked.body).toMatchObject({ hasSufficientCredits: false, availableCredits: 0 });
    expect((await service.internal().post('/api/api-keys/verify', { key })).body).toMatchObject({
      ...{ valid: false, code: 'revoked', availableCredits: 0 },
    });
    expect((await eventsOf(service, old.id)).map(([type]) => type).slice(-2)).toEqual([
      ...['api_key.revoked', 'organisation.archived'],
    ]);
    expect((await makeKey()).status).toBe(404);
    const rotated = await old.owner.post(`/api/api-keys/${id}/rotate?accountId=${old.id}`, {});
    expect(rotated.status).toBe(404);
    expect((await old.owner.get(`/api/credits/balance?accountId=${old.id}`)).body).toMatchObject({
      totalCredits: 7,
    });
  });
});
