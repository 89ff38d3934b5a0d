// @module-tag two-instances
// @module-tag pooler
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdUp } from '../support/hold-up.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { countByStatus, expectSoundBooks, initialize, times, userWithCredits } from '../support/money.js';
import {
  eventsOf,
  organisation,
  ORGANISATIONS,
  patch,
  type TestOrganisation,
} from '../support/organisations.js';
import { expectProblem, type Problem } from '../support/problems.js';
import { freshUser, INTERNAL_KEY, startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';

let service: TestService;
let boss: HttpClient;
beforeAll(async () => {
  service = await startService();
  boss = service.as('boss', { role: 'supervisor' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

const freshId = () => `org:${freshUser('o')}`;

describe('POST /organisations', () => {
  it('201: the supervisor becomes its owner, and it has an account without credits', async () => {
    const id = freshId();
    const made = await boss.post(ORGANISATIONS, { id, name: 'Acme' });
    expect(made.status, made.text).toBe(201);
    expect(made.body).toEqual({
      id,
      name: 'Acme',
      createdAt: expect.any(String) as string,
      archivedAt: null,
    });
    expect((await boss.get(`${ORGANISATIONS}/${id}/members`)).body.items).toMatchObject([
      { userId: 'boss', role: 'owner', unitId: null },
    ]);
    const { rows } = await service.owner.query(
      'SELECT available, held FROM credit_balances WHERE account_id = $1',
      [id],
    );
    expect(rows).toEqual([{ available: '0', held: '0' }]);
    expect(await eventsOf(service, id)).toEqual([['organisation.created', { name: 'Acme' }]]);
  });

  it.each([
    ['Zürich & Söhne GmbH ', 'org:zurich-sohne-gmbh'],
    ['--A--', 'org:a'],
    [`${'x'.repeat(40)} y`, `org:${'x'.repeat(40)}`],
  ])('201: without an id, "%s" is %s', async (name, id) => {
    expect((await boss.post(ORGANISATIONS, { name: name.trim() })).body.id).toBe(id);
  });

  it('409: an id that is taken, also when it is made of the name, and by many at once', async () => {
    const name = freshUser('Twice');
    const answers = await times(5, () => boss.post(ORGANISATIONS, { name }));
    expect(countByStatus(answers)).toEqual({ 201: 1, 409: 4 });
    const refused = answers.find(({ status }) => status === 409) as Answer;
    expectProblem(refused, 409, { code: 'organisation.id_taken', field: 'id' });
  });

  it('201: once under an Idempotency-Key, also at the same time; 422 for another organisation', async () => {
    const key = { 'idempotency-key': freshUser('key') };
    const body = { name: freshUser('Once') };
    const answers = await times(4, () => boss.post(ORGANISATIONS, body, key));
    expect(countByStatus(answers)).toEqual({ 201: 4 });
    const replayed = answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true');
    expect(replayed).toHaveLength(3);
    for (const answer of answers) expect(answer.body).toEqual(answers[0]?.body);
    const other = await boss.post(ORGANISATIONS, { name: freshUser('Other') }, key);
    expectProblem(other, 422, { code: 'idempotency.mismatch' });
  });

  it('201: once under an Idempotency-Key, also at the same moment through two instances', async () => {
    const second = await service.another();
    const [id, key] = [freshId(), { 'idempotency-key': freshUser('key') }];
    const create = ({ url }: TestService) => boss.at(url).post(ORGANISATIONS, { id, name: 'Acme' }, key);
    const answers = await holdUp<Answer>(
      service,
      'INSERT INTO credit_balances (account_id) VALUES ($1)',
      [id],
      [() => create(service), () => create(second)],
    );
    await second.close();
    expect(countByStatus(answers)).toEqual({ 201: 2 });
    expect(answers[1]?.body).toEqual(answers[0]?.body);
  });

  it('403: a plain user, unless ORGANISATIONS_CREATED_BY is any; never a service alone', async () => {
    const user = service.as();
    const refused = await user.post(ORGANISATIONS, { name: freshUser('Mine') });
    expectProblem(refused, 403, { code: 'auth.role_required' });
    const open = await service.another({ ORGANISATIONS_CREATED_BY: 'any' });
    const first = await user.at(open.url).post(ORGANISATIONS, { name: freshUser('Mine') });
    expect(first.status, first.text).toBe(201);
    // The most that one creates; one that is archived no longer counts.
    const create = (n: number) =>
      user
        .at(open.url)
        .post<{ id: string }>(
          ORGANISATIONS,
          { name: 'x', id: `org:${user.userId}-${n}` },
          { 'idempotency-key': `k${n}` },
        );
    const answers = await times(120, create);
    expect(countByStatus(answers)).toEqual({ 201: 99, 409: 21 });
    const made = answers.findIndex(({ status }) => status === 201);
    const beyond = answers.findIndex(({ status }) => status === 409);
    expectProblem(await create(beyond), 409, { code: 'organisation.too_many' });
    // A retry is answered as before.
    expect((await create(made)).status).toBe(201);
    expect((await user.post(`${ORGANISATIONS}/${answers[made]?.body.id}/archive`)).status).toBe(200);
    expect((await create(beyond)).status).toBe(201);
    const services = open.withHeaders({ 'x-internal-api-key': INTERNAL_KEY });
    expectProblem(await services.post(ORGANISATIONS, { name: 'x' }), 403, {
      code: 'auth.user_token_required',
    });
    await open.close();
  });

  it.each([
    ['id', { id: 'acme', name: 'x' }],
    ['id', { id: 'org:', name: 'x' }],
    ['id', { id: 'org:-a', name: 'x' }],
    ['id', { id: 'org:Acme', name: 'x' }],
    ['id', { id: `org:${'x'.repeat(42)}`, name: 'x' }],
    ['id', { id: 5, name: 'x' }],
    ['id', { name: '日本' }],
    ['name', { name: '' }],
    ['name', { name: ' a' }],
    ['name', { name: 'x'.repeat(101) }],
    ['name', {}],
    ['colour', { name: 'x', colour: 'red' }],
  ])('400: names %s in %j', async (field, body) => {
    expectProblem(await boss.post(ORGANISATIONS, body), 400, { field });
  });
});

const CALLERS = ['owner', 'admin', 'billing', 'member', 'supervisor'] as const;
type Who = (typeof CALLERS)[number];
const MANAGERS: Who[] = ['owner', 'admin', 'supervisor'];

interface Route {
  /** Of the members, and supervisors; for the others of them it is a 403. */
  allowed: readonly Who[];
  /** @param other a member of the role `member` @param unit without members */
  call: (client: HttpClient, path: string, other: string, unit: number) => Promise<Answer>;
}

const ROUTES: Record<string, Route> = {
  'GET /organisations/:id': { allowed: CALLERS, call: (client, path) => client.get(path) },
  'PATCH /organisations/:id': {
    allowed: MANAGERS,
    call: (client, path) => patch(client, path, { name: freshUser('name') }),
  },
  'POST /organisations/:id/archive': {
    allowed: ['owner', 'supervisor'],
    call: (client, path) => client.post(`${path}/archive`),
  },
  'POST …/members': {
    allowed: MANAGERS,
    call: (client, path) => client.post(`${path}/members`, { userId: freshUser(), role: 'admin' }),
  },
  'POST …/members of an owner': {
    allowed: ['owner', 'supervisor'],
    call: (client, path) => client.post(`${path}/members`, { userId: freshUser(), role: 'owner' }),
  },
  'GET …/members': {
    allowed: [...MANAGERS, 'billing'],
    call: (client, path) => client.get(`${path}/members`),
  },
  'PATCH …/members/:userId': {
    allowed: MANAGERS,
    call: (client, path, other) => patch(client, `${path}/members/${other}`, { role: 'billing' }),
  },
  'PATCH …/members/:userId to an owner': {
    allowed: ['owner', 'supervisor'],
    call: (client, path, other) => patch(client, `${path}/members/${other}`, { role: 'owner' }),
  },
  'DELETE …/members/:userId': {
    allowed: MANAGERS,
    call: (client, path, other) => client.delete(`${path}/members/${other}`),
  },
  'POST …/units': {
    allowed: MANAGERS,
    call: (client, path) => client.post(`${path}/units`, { name: freshUser('unit') }),
  },
  'GET …/units': { allowed: CALLERS, call: (client, path) => client.get(`${path}/units`) },
  'PATCH …/units/:unitId': {
    allowed: MANAGERS,
    call: (client, path, _, unit) => patch(client, `${path}/units/${unit}`, { name: freshUser('unit') }),
  },
  'DELETE …/units/:unitId': {
    allowed: MANAGERS,
    call: (client, path, _, unit) => client.delete(`${path}/units/${unit}`),
  },
};

describe('the roles in an organisation', () => {
  let acme: TestOrganisation;
  let clients: Record<Who, HttpClient>;
  beforeAll(async () => {
    acme = await organisation(service);
    const [admin, billing, member] = await Promise.all(
      ['admin', 'billing', 'member'].map((role) => acme.member(role)),
    );
    clients = { owner: acme.owner, admin, billing, member, supervisor: boss } as typeof clients;
  });

  it('404 for a stranger, the same as for an organisation that does not exist, and 403 for too low a role', async () => {
    const other = (await acme.member('member')).userId;
    const unit = await acme.unit('refused');
    const stranger = service.as();
    // Their accounts come with their first tokens.
    for (const client of [stranger, ...Object.values(clients)]) await client.get(acme.path);
    const before = await snapshot(service.owner);
    const bare = ({ body }: Answer) => ({ ...(body as unknown as Problem), requestId: '' });
    for (const [route, { allowed, call }] of Object.entries(ROUTES)) {
      const refused = await call(stranger, acme.path, other, unit);
      expect(refused.status, route).toBe(404);
      expectProblem(refused, 404, { code: 'organisation.not_found' });
      const nowhere = await call(stranger, `${ORGANISATIONS}/${freshId()}`, other, unit);
      expect(bare(nowhere), route).toEqual(bare(refused));
      for (const who of CALLERS.filter((each) => !allowed.includes(each))) {
        const tooLow = await call(clients[who], acme.path, other, unit);
        expect(tooLow.status, `${route} by ${who}`).toBe(403);
        expectProblem(tooLow, 403, { code: 'organisation.role_required' });
      }
    }
    expect(await snapshot(service.owner)).toEqual(before);
  });

  it.each(Object.entries(ROUTES))('%s is open to those that it is for', async (route, { allowed, call }) => {
    for (const who of allowed) {
      const on = route.endsWith('archive') ? await organisation(service) : acme;
      if (on !== acme && who === 'owner') clients.owner = on.owner;
      const other = (await on.member('member')).userId;
      const answer = await call(clients[who], on.path, other, await on.unit(freshUser('unit')));
      expect(answer.status, `${who}: ${answer.text}`).toBeLessThan(300);
      clients.owner = acme.owner;
    }
  });
});

it('a caller without a token of their own is refused everywhere', async () => {
  const services = service.withHeaders({ 'x-internal-api-key': INTERNAL_KEY });
  for (const { call } of Object.values(ROUTES))
    expectProblem(await call(services, `${ORGANISATIONS}/org:x`, 'x', 1), 403, {
      code: 'auth.user_token_required',
    });
});

describe('GET /organisations', () => {
  it('lists a user’s own by id, page by page, and all for a supervisor', async () => {
    const user = service.as();
    const mine: string[] = [];
    for (let n = 0; n < 3; n++) {
      const acme = await organisation(service);
      await acme.member('member', { userId: user.userId });
      mine.push(acme.id);
    }
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await user.get<{ items: { id: string }[]; nextCursor: string | null }>(
        `${ORGANISATIONS}?limit=2${cursor}`,
      );
      seen.push(...body.items.map(({ id }) => id));
      cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`;
    } while (cursor !== '');
    expect(seen).toEqual(mine.sort());
    const all = await boss.get<{ items: { id: string }[] }>(`${ORGANISATIONS}?limit=200`);
    expect(all.body.items.map(({ id }) => id)).toEqual(expect.arrayContaining(mine));
    expect((await service.as().get(ORGANISATIONS)).body).toEqual({ items: [], nextCursor: null });
  });

  it.each(['', '!', 'abc=', 'IA', 'x'.repeat(300)])('400: cursor "%s"', async (cursor) => {
    expectProblem(await boss.get(`${ORGANISATIONS}?cursor=${cursor}`), 400, { field: 'cursor' });
  });
});

describe('PATCH /organisations/:id', () => {
  it('200: renames it, with an event only if the name is another', async () => {
    const acme = await organisation(service, 'Old');
    const before = (await eventsOf(service, acme.id)).length;
    for (let n = 0; n < 2; n++) {
      const renamed = await patch(acme.owner, acme.path, { name: 'New' });
      expect(renamed.body).toMatchObject({ id: acme.id, name: 'New' });
    }
    const events = (await eventsOf(service, acme.id)).slice(before);
    expect(events).toEqual([['organisation.renamed', { name: 'New' }]]);
  });

  it('400: without a name, and for an id that no organisation can have', async () => {
    const acme = await organisation(service);
    expectProblem(await patch(acme.owner, acme.path, {}), 400, { field: 'name' });
    expectProblem(await patch(boss, `${ORGANISATIONS}/acme`, { name: 'x' }), 400, { field: 'id' });
  });
});

describe('POST /organisations/:id/archive', () => {
  it('409 while a session of it is active; then 200, and 200 again with the same answer', async () => {
    const acme = await organisation(service);
    const user = await userWithCredits(service, 100);
    await initialize(user, 'open');
    // As a session that the organisation pays for.
    const move = (from: string, to: string) =>
      service.owner.query(
        `UPDATE streaming_sessions SET account_id = $2 WHERE account_id = $1 AND session_id = 'open'`,
        [from, to],
      );
    await move(user.userId, acme.id);
    const refused = await acme.owner.post(`${acme.path}/archive`);
    expectProblem(refused, 409, { code: 'organisation.sessions_active' });
    await move(acme.id, user.userId);
    const archived = await acme.owner.post(`${acme.path}/archive`);
    expect(archived.status, archived.text).toBe(200);
    expect(archived.body.archivedAt).toMatch(/Z$/);
    expect((await boss.post(`${acme.path}/archive`)).body).toEqual(archived.body);
    const archivals = (await eventsOf(service, acme.id)).filter(([type]) => type.endsWith('.archived'));
    expect(archivals).toEqual([['organisation.archived', { name: 'Acme' }]]);
  });

  it('409 for every change afterwards; what can be read stays', async () => {
    const acme = await organisation(service);
    const member = await acme.member('member');
    const unit = await acme.unit('Research');
    await acme.owner.post(`${acme.path}/archive`);
    await member.get(acme.path);
    const before = await snapshot(service.owner);
    for (const [name, { call }] of Object.entries(ROUTES)) {
      const answer = await call(acme.owner, acme.path, member.userId, unit);
      if (name.startsWith('GET') || name.endsWith('archive')) expect(answer.status, name).toBe(200);
      else expectProblem(answer, 409, { code: 'organisation.archived' });
    }
    const leaves = await member.delete(`${acme.path}/members/${member.userId}`);
    expectProblem(leaves, 409, { code: 'organisation.archived' });
    expect(await snapshot(service.owner)).toEqual(before);
  });
});

describe('GET /accounts/mine', () => {
  it('has the personal account first, then organisations that are not archived, by name', async () => {
    const user = await userWithCredits(service, 70);
    const [last, gone, first] = [
      await organisation(service, 'Zeta'),
      await organisation(service, 'Gone'),
      await organisation(service, 'Alpha'),
    ];
    await last.member('admin', { userId: user.userId });
    await gone.member('owner', { userId: user.userId });
    await first.member('member', { userId: user.userId });
    await gone.owner.post(`${gone.path}/archive`);
    const mine = await user.get('/api/accounts/mine');
    expect(mine.status, mine.text).toBe(200);
    const ofOrganisation = { kind: 'organisation', availableCredits: 0 };
    expect(mine.body).toEqual([
      {
        accountId: user.userId,
        kind: 'personal',
        name: expect.any(String) as string,
        role: 'owner',
        availableCredits: 70,
      },
      { ...ofOrganisation, accountId: first.id, name: 'Alpha', role: 'member' },
      { ...ofOrganisation, accountId: last.id, name: 'Zeta', role: 'admin' },
    ]);
  });

  it('is no user’s path: no user may have that id', async () => {
    expectProblem(await service.as('mine').get('/api/accounts/mine'), 401, { code: 'auth.invalid_token' });
  });
});
