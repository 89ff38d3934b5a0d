// @module-tag cluster
// @module-tag two-instances
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdUp } from '../support/hold-up.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { countByStatus, times } from '../support/money.js';
import { eventsOf, organisation, patch, type TestOrganisation } from '../support/organisations.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

describe('POST …/members', () => {
  it('201: also a user whom the service has never seen, in a unit; with an event', async () => {
    const acme = await organisation(service);
    const unitId = await acme.unit('Research');
    const userId = freshUser('unseen');
    const before = (await eventsOf(service, acme.id)).length;
    const added = await acme.owner.post(`${acme.path}/members`, { userId, role: 'billing', unitId });
    expect(added.status, added.text).toBe(201);
    expect(added.body).toEqual({ userId, role: 'billing', unitId, addedAt: expect.any(String) as string });
    const events = (await eventsOf(service, acme.id)).slice(before);
    expect(events).toEqual([['organisation.member_added', { userId, role: 'billing', unitId }]]);
    const accounts = await service.owner.query('SELECT 1 FROM user_accounts WHERE user_id = $1', [userId]);
    expect(accounts.rows).toEqual([]);
  });

  it('409: a member already, also when many add the user at once', async () => {
    const acme = await organisation(service);
    const userId = freshUser();
    const answers = await times(5, () => acme.owner.post(`${acme.path}/members`, { userId, role: 'member' }));
    expect(countByStatus(answers)).toEqual({ 201: 1, 409: 4 });
    const again = await acme.owner.post(`${acme.path}/members`, { userId, role: 'admin' });
    expectProblem(again, 409, { code: 'member.exists', field: 'userId' });
  });

  it('201: the same answer again under an Idempotency-Key', async () => {
    const acme = await organisation(service);
    const body = { userId: freshUser(), role: 'member' };
    const key = { 'idempotency-key': 'add' };
    const first = await acme.owner.post(`${acme.path}/members`, body, key);
    const again = await acme.owner.post(`${acme.path}/members`, body, key);
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    // The answer is for members alone: one who has left since does not get it.
    const admin = await acme.member('admin');
    const added = { userId: freshUser(), role: 'member' };
    expect((await admin.post(`${acme.path}/members`, added, key)).status).toBe(201);
    await acme.owner.delete(`${acme.path}/members/${admin.userId}`);
    expectProblem(await admin.post(`${acme.path}/members`, added, key), 404);
  });

  it('404: a unit of another organisation, named by unitId', async () => {
    const [acme, other] = [await organisation(service), await organisation(service)];
    const body = { userId: freshUser(), role: 'member', unitId: await other.unit('Theirs') };
    const refused = await acme.owner.post(`${acme.path}/members`, body);
    expectProblem(refused, 404, { code: 'unit.not_found', field: 'unitId' });
  });

  it('409: beyond 100,000 members', async () => {
    const acme = await organisation(service);
    // Without a look at the foreign keys, which would take most of the time.
    await service.owner.query(
      `SET LOCAL session_replication_role = replica;
       INSERT INTO members (account_id, user_id, role, added_by)
       SELECT '${acme.id}', 'n' || n, 'member', 'x' FROM generate_series(1, 99998) n`,
    );
    const answers = await times(3, () =>
      acme.owner.post(`${acme.path}/members`, { userId: freshUser(), role: 'member' }),
    );
    expect(countByStatus(answers)).toEqual({ 201: 1, 409: 2 });
    expect(answers.find(({ status }) => status === 409)?.body.code).toBe('member.too_many');
  });

  it.each([
    ['userId', { role: 'member' }],
    ['userId', { userId: 'org:acme', role: 'member' }],
    ['userId', { userId: 'all', role: 'member' }],
    ['role', { userId: 'x' }],
    ['role', { userId: 'x', role: 'boss' }],
    ['unitId', { userId: 'x', role: 'member', unitId: 0 }],
    ['unitId', { userId: 'x', role: 'member', unitId: '1' }],
  ])('400: names %s in %j', async (field, body) => {
    expectProblem(await service.as().post('/api/organisations/org:x/members', body), 400, { field });
  });
});

describe('GET …/members', () => {
  it('200: by user id, page by page', async () => {
    const acme = await organisation(service);
    for (const name of ['ä', 'b c', 'd/e', '😀']) await acme.member('member', { userId: freshUser(name) });
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await acme.owner.get<{ items: { userId: string }[]; nextCursor: string | null }>(
        `${acme.path}/members?limit=2${cursor}`,
      );
      seen.push(...body.items.map(({ userId }) => userId));
      cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`;
    } while (cursor !== '');
    expect(new Set(seen).size).toBe(5);
    expect(seen).toHaveLength(5);
  });
});

describe('PATCH …/members/:userId', () => {
  it('200: changes what is given; null takes the member out of the unit; an event for each change', async () => {
    const acme = await organisation(service);
    const unitId = await acme.unit('Research');
    const { userId } = await acme.member('member');
    const path = `${acme.path}/members/${userId}`;
    const before = (await eventsOf(service, acme.id)).length;
    const change = async (changes: object) => (await patch(acme.owner, path, changes)).body;
    expect(await change({ unitId })).toMatchObject({ userId, role: 'member', unitId });
    expect(await change({ role: 'admin' })).toMatchObject({ role: 'admin', unitId });
    expect(await change({})).toMatchObject({ role: 'admin', unitId });
    expect(await change({ unitId: null })).toMatchObject({ role: 'admin', unitId: null });
    const events = (await eventsOf(service, acme.id)).slice(before);
    const type = 'organisation.member_changed';
    expect(events).toEqual([
      [type, { userId, role: 'member', unitId }],
      [type, { userId, role: 'admin', unitId }],
      [type, { userId, role: 'admin', unitId: null }],
    ]);
  });

  it('404: no member, and no unit of the organisation; 400: a role that there is not', async () => {
    const acme = await organisation(service);
    const theirs = await (await organisation(service)).unit('Theirs');
    const path = `${acme.path}/members/${acme.owner.userId}`;
    const none = await patch(acme.owner, `${acme.path}/members/${freshUser()}`, { role: 'admin' });
    expectProblem(none, 404, { code: 'member.not_found' });
    const foreign = await patch(acme.owner, path, { unitId: theirs });
    expectProblem(foreign, 404, { code: 'unit.not_found', field: 'unitId' });
    expectProblem(await patch(acme.owner, path, { role: 'boss' }), 400, { field: 'role' });
  });

  it('403: an admin neither makes, changes nor removes an owner', async () => {
    const acme = await organisation(service);
    const admin = await acme.member('admin');
    const second = (await acme.member('owner')).userId;
    for (const refused of [
      await patch(admin, `${acme.path}/members/${second}`, { role: 'member' }),
      await patch(admin, `${acme.path}/members/${second}`, { unitId: null }),
      await patch(admin, `${acme.path}/members/${admin.userId}`, { role: 'owner' }),
      await admin.delete(`${acme.path}/members/${second}`),
    ])
      expectProblem(refused, 403, { code: 'organisation.role_required' });
    const { items } = (await admin.get<{ items: { role: string }[] }>(`${acme.path}/members`)).body;
    expect(items.map(({ role }) => role).sort()).toEqual(['admin', 'owner', 'owner']);
  });
});

describe('the last owner', () => {
  it('409: is neither removed nor demoted, not even by themselves or a supervisor', async () => {
    const acme = await organisation(service);
    const path = `${acme.path}/members/${acme.owner.userId}`;
    for (const client of [acme.owner, acme.boss])
      for (const refused of [await client.delete(path), await patch(client, path, { role: 'admin' })])
        expectProblem(refused, 409, { code: 'organisation.owner_required' });
    const unitId = await acme.unit('Board');
    expect((await patch(acme.owner, path, { role: 'owner', unitId })).status).toBe(200);
  });

  it('stays, when all owners go at once', async () => {
    const acme = await organisation(service);
    const owners = [acme.owner, ...(await times(7, () => acme.member('owner')))];
    const answers = await times(8, (n) => {
      const owner = owners[n] as HttpClient;
      const path = `${acme.path}/members/${owner.userId}`;
      return n % 2 === 0 ? owner.delete(path) : patch(owner, path, { role: 'member' });
    });
    expect(answers.filter(({ status }) => status < 300)).toHaveLength(7);
    expect(answers.find(({ status }) => status >= 300)?.body.code).toBe('organisation.owner_required');
    expect(await ownersOf(acme)).toBe(1);
  });

  it('stays, when the last two go at the same moment through two instances', async () => {
    const acme = await organisation(service);
    const second = await service.another();
    const [one, other] = [acme.owner.at(service.url), (await acme.member('owner')).at(second.url)];
    const path = ({ userId }: HttpClient) => `${acme.path}/members/${userId}`;
    // A change of a member waits there, after it has seen that there are two owners.
    const answers = await holdUp<Answer>(
      service,
      'SELECT FROM members WHERE account_id = $1 FOR UPDATE',
      [acme.id],
      [() => one.delete(path(one)), () => patch(other, path(other), { role: 'member' })],
    );
    await second.close();
    expect(answers.map(({ status }) => status)).toEqual([204, 409]);
    expect(await ownersOf(acme)).toBe(1);
  });
});

async function ownersOf({ id }: TestOrganisation): Promise<number | undefined> {
  const { rows } = await service.owner.query<{ owners: number }>(
    `SELECT count(*)::int AS owners FROM members WHERE account_id = $1 AND role = 'owner'`,
    [id],
  );
  return rows[0]?.owners;
}

describe('DELETE …/members/:userId', () => {
  it('204: revokes the keys that the member made in the organisation, and no other', async () => {
    const acme = await organisation(service);
    const [leaving, staying] = [await acme.member('member'), await acme.member('member')];
    await leaving.get(acme.path);
    const key = async (accountId: string, userId: string, gateway: string | null = null) => {
      const { rows } = await service.owner.query<{ id: string }>(
        `INSERT INTO api_keys (account_id, user_id, key, key_hint, name, gateway, gateway_state, gateway_settings)
         VALUES ($1, $2, md5(random()::text) || md5(random()::text), 'x', 'x', $3::text,
                 CASE WHEN $3::text IS NOT NULL THEN 'live' END, CASE WHEN $3::text IS NOT NULL THEN '{}'::jsonb END)
         RETURNING id`,
        [accountId, userId, gateway],
      );
      return rows[0]?.id as string;
    };
    const ended = [await key(acme.id, leaving.userId), await key(acme.id, leaving.userId, 'litellm')];
    const live = [await key(acme.id, staying.userId), await key(leaving.userId, leaving.userId)];
    const removed = await leaving.delete(`${acme.path}/members/${leaving.userId}`);
    expect(removed.status, removed.text).toBe(204);
    const { rows } = await service.owner.query<{ id: string }>(
      `SELECT id, is_active, revoked_at IS NOT NULL AS revoked, gateway_state, gateway_due_at <= now() AS due
         FROM api_keys WHERE id = ANY($1) ORDER BY id`,
      [[...ended, ...live]],
    );
    const is = (id: unknown, is_active: boolean, gateway_state: string | null) => ({
      id,
      is_active,
      revoked: !is_active,
      gateway_state,
      due: gateway_state === null ? null : true,
    });
    expect(rows).toEqual([
      is(ended[0], false, null),
      is(ended[1], false, 'ending'),
      is(live[0], true, null),
      is(live[1], true, null),
    ]);
    const types = (await eventsOf(service, acme.id)).map(([type]) => type);
    expect(types.slice(-3)).toEqual(['api_key.revoked', 'api_key.revoked', 'organisation.member_removed']);
    expectProblem(await leaving.get(acme.path), 404, { code: 'organisation.not_found' });
    const again = await acme.owner.delete(`${acme.path}/members/${leaving.userId}`);
    expectProblem(again, 404, { code: 'member.not_found' });
  });

  it('403: a member who removes another', async () => {
    const acme = await organisation(service);
    const [billing, member] = [await acme.member('billing'), await acme.member('member')];
    const refused = await billing.delete(`${acme.path}/members/${member.userId}`);
    expectProblem(refused, 403, { code: 'organisation.role_required' });
    expect((await billing.delete(`${acme.path}/members/${billing.userId}`)).status).toBe(204);
  });
});
