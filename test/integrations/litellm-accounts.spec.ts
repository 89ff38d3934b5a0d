// @module-tag two-instances
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QuarantineSweeper } from '../../src/integrations/quarantine.sweeper.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { type Counts, event, type Fields, LOGS, NONE } from '../support/litellm-events.js';
import { holdUp, waitingForLocks } from '../support/hold-up.js';
import { balanceOf, expectSoundBooks, times, userWithCredits } from '../support/money.js';
import { organisation, type TestOrganisation } from '../support/organisations.js';
import { expectProblem } from '../support/problems.js';
import { digestOf } from '../support/litellm-proxy.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';

const ACCOUNTS = '/api/integrations/litellm/accounts';
const QUARANTINE = '/api/integrations/litellm/quarantine';

let service: TestService;
let admin: HttpClient;
beforeAll(async () => {
  service = await startService();
  admin = service.as('admin-of-the-gateway', { role: 'admin' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

interface Mapped {
  id: number;
  kind: string;
  externalId: string;
  accountId: string;
  unitId: number | null;
}

const put = (body: object, by = admin): Promise<Answer<Mapped>> => by.send<Mapped>('PUT', ACCOUNTS, body, {});

async function set(accountId: string, externalId: string, more: object = {}): Promise<Mapped> {
  const answer = await put({ kind: 'team', externalId, accountId, ...more });
  expect(answer.status, answer.text).toBe(200);
  return answer.body;
}

/** An organisation with 1,000 credits that pays for a team. */
async function paidTeam(): Promise<{ acme: TestOrganisation; team: string; mapped: Mapped }> {
  const acme = await organisation(service);
  await acme.allocate(1000);
  const team = freshUser('team');
  return { acme, team, mapped: await set(acme.id, team) };
}

/** A call that costs 3 credits. */
function callOf(user: string | null, { team, org, ...more }: Fields & { team?: string; org?: string }) {
  const metadata = { user_api_key_team_id: team ?? null, user_api_key_org_id: org ?? null };
  return event({ user, metadata, ...more });
}

async function expectCounts(body: object[], counts: Partial<Counts>): Promise<void> {
  const answer = await service.internal().post<Counts>(LOGS, body);
  expect(answer.body, answer.text).toEqual({ ...NONE, ...counts });
}

interface Recorded {
  account_id: string;
  user_id: string;
  unit_id: string | null;
  api_key_id: string | null;
}

/** The records of a call: at most one, whatever happens. */
async function recordsOf(...calls: { id: unknown }[]): Promise<Recorded[]> {
  const { rows } = await service.owner.query<Recorded>(
    `SELECT account_id, user_id, unit_id, api_key_id FROM usage_records
      WHERE request_id = ANY ($1) ORDER BY account_id, id`,
    [calls.map(({ id }) => `litellm:${String(id)}`)],
  );
  return rows;
}

async function waitingFor(call: { id: unknown }): Promise<{ reason: string; detail: string | null }[]> {
  const { body } = await admin.get<{ items: { reason: string; detail: string; event: { id: unknown } }[] }>(
    `${QUARANTINE}?limit=200`,
  );
  return body.items
    .filter(({ event: kept }) => kept.id === call.id)
    .map(({ reason, detail }) => ({ reason, detail }));
}

const left = async (acme: TestOrganisation) =>
  (await acme.owner.get<{ totalCredits: number }>(`/api/credits/balance?accountId=${acme.id}`)).body
    .totalCredits;

describe('the account that a call is charged to', () => {
  it('the organisation of the team, for the unit of its member', async () => {
    const { acme, team } = await paidTeam();
    const unitId = await acme.unit('Research');
    const alice = await acme.member('member', { unitId });
    const call = callOf(alice.userId, { team });
    await expectCounts([call], { accepted: 1 });
    expect(await recordsOf(call)).toEqual([
      { account_id: acme.id, user_id: alice.userId, unit_id: String(unitId), api_key_id: null },
    ]);
    expect(await left(acme)).toBe(997);
  });

  it('the organisation of the proxy’s organization, and of the team first', async () => {
    const [{ acme, team }, other] = [await paidTeam(), await paidTeam()];
    const org = freshUser('organization');
    await set(other.acme.id, org, { kind: 'organization' });
    const alice = await acme.member('member');
    await other.acme.member('member', { userId: alice.userId });
    const calls = [{ org }, { org, team }, { org, team: 'of nobody' }].map((of) => callOf(alice.userId, of));
    await expectCounts(calls, { accepted: 3 });
    expect([await left(other.acme), await left(acme)]).toEqual([994, 997]);
  });

  it('the user, where nothing is set: also of a team whose id is another kind’s or another case’s', async () => {
    const { acme, team } = await paidTeam();
    const alice = await userWithCredits(service, 100);
    await acme.member('member', { userId: alice.userId });
    const of = [{}, { team: 'of nobody' }, { org: team }, { team: team.toUpperCase() }];
    await expectCounts(
      of.map((each) => callOf(alice.userId, each)),
      { accepted: 4 },
    );
    expect((await balanceOf(alice)).totalCredits).toBe(88);
  });

  it('nothing that a client says', async () => {
    const { acme, team } = await paidTeam();
    const alice = await userWithCredits(service, 100);
    await acme.member('member', { userId: alice.userId });
    const says = { user_api_key_team_id: team, user_api_key_org_id: team, team_id: team, accountId: acme.id };
    const call = event({ user: alice.userId, ...says, metadata: { requester_metadata: says } });
    await expectCounts([call], { accepted: 1 });
    expect((await recordsOf(call))[0]?.account_id).toBe(alice.userId);
  });

  it('the organisation of a key of ours, for its maker, whatever team and user the proxy names', async () => {
    const { acme } = await paidTeam();
    const { team } = await paidTeam();
    const alice = await acme.member('member');
    const body = { name: 'for the gateway', accountId: acme.id, creditLimit: 5 };
    const made = await alice.post<{ id: number; key: string }>('/api/api-keys', body);
    expect(made.status, made.text).toBe(201);
    const keyHash = digestOf(made.body.key);
    const first = callOf(null, { keyHash });
    const second = callOf(freshUser('stranger'), { keyHash, team });
    await expectCounts([first], { accepted: 1 });
    // Its limit does not cover the second.
    await expectCounts([second], { review: 1 });
    expect(await recordsOf(first, second)).toEqual(
      Array(2).fill({
        ...{ account_id: acme.id, user_id: alice.userId, unit_id: null },
        api_key_id: String(made.body.id),
      }),
    );
  });

  it('the organisation, whose own budget sends the call to a review when it is spent', async () => {
    const { acme, team } = await paidTeam();
    const alice = await acme.member('member');
    await acme.budget({ scope: 'account', unit: 'credits', window: 'month', amount: 4 });
    const call = () => callOf(alice.userId, { team });
    await expectCounts([call(), call()], { accepted: 1, review: 1 });
    expect(await left(acme)).toBe(997);
  });
});

describe('a call of a user who is not a member', () => {
  it('waits, and says for what; a sweeper charges it once the user is a member', async () => {
    const { acme, team } = await paidTeam();
    const alice = await userWithCredits(service, 100);
    const call = callOf(alice.userId, { team });
    await expectCounts([call], { quarantined: 1 });
    expect(await waitingFor(call)).toEqual([
      { reason: 'unknown_user', detail: `${acme.id} pays, and ${alice.userId} is not a member of it` },
    ]);
    const sweep = () => service.get(QuarantineSweeper).sweep();
    expect(await sweep()).toEqual(NONE);
    await acme.member('member', { userId: alice.userId });
    expect(await sweep()).toEqual({ ...NONE, accepted: 1 });
    await expectCounts([call], { duplicates: 1 });
    expect(await recordsOf(call)).toMatchObject([{ account_id: acme.id, user_id: alice.userId }]);
    expect((await balanceOf(alice)).totalCredits).toBe(100);
    expect(await waitingFor(call)).toEqual([]);
  });

  it('waits also when it names no user, and when the organisation is archived', async () => {
    const { acme, team } = await paidTeam();
    const nobody = callOf(null, { team });
    await expectCounts([nobody], { quarantined: 1 });
    expect((await waitingFor(nobody))[0]?.detail).toBe(
      `${acme.id} pays, and the call names none of its members`,
    );
    const alice = await acme.member('member');
    await acme.owner.post(`${acme.path}/archive`);
    const call = callOf(alice.userId, { team });
    await expectCounts([call], { quarantined: 1 });
    expect(await service.get(QuarantineSweeper).sweep()).toEqual(NONE);
  });

  it('is charged as is set when it is tried again, and says for what it waits then', async () => {
    const { acme, team, mapped } = await paidTeam();
    const alice = await userWithCredits(service, 100);
    const call = callOf(alice.userId, { team });
    await expectCounts([call], { quarantined: 1 });
    const other = await organisation(service);
    await set(other.id, team);
    await admin.post(`${QUARANTINE}/replay`);
    expect((await waitingFor(call))[0]?.detail).toContain(other.id);
    const [{ id }] = (await listed()).filter(({ externalId }) => externalId === team) as [Mapped];
    expect(id).not.toBe(mapped.id);
    expect((await admin.delete(`${ACCOUNTS}/${id}`)).status).toBe(204);
    await admin.post(`${QUARANTINE}/replay`);
    expect(await recordsOf(call)).toMatchObject([{ account_id: alice.userId }]);
    expect(await left(acme)).toBe(1000);
  });

  it('waits for the maker of the key, when it was made with a key of the organisation', async () => {
    const { acme } = await paidTeam();
    const alice = await acme.member('member');
    const made = await alice.post<{ key: string }>('/api/api-keys', { name: 'late', accountId: acme.id });
    const call = callOf(null, { keyHash: digestOf(made.body.key) });
    await acme.owner.delete(`${acme.path}/members/${alice.userId}`);
    await expectCounts([call], { quarantined: 1 });
    await acme.member('member', { userId: alice.userId });
    expect(await service.get(QuarantineSweeper).sweep()).toEqual({ ...NONE, accepted: 1 });
    expect(await recordsOf(call)).toMatchObject([{ account_id: acme.id, user_id: alice.userId }]);
  });
});

describe('a call that is reported again is charged once', () => {
  it('when the team has been given to another organisation, or to none', async () => {
    const { acme, team } = await paidTeam();
    const alice = await userWithCredits(service, 100);
    const other = await organisation(service);
    for (const each of [acme, other]) await each.member('member', { userId: alice.userId });
    const call = callOf(alice.userId, { team });
    await expectCounts([call], { accepted: 1 });
    const { id } = await set(other.id, team);
    await expectCounts([call], { duplicates: 1 });
    await admin.delete(`${ACCOUNTS}/${id}`);
    await expectCounts([call, callOf(alice.userId, { team })], { duplicates: 1, accepted: 1 });
    expect(await recordsOf(call)).toMatchObject([{ account_id: acme.id }]);
    expect((await balanceOf(alice)).totalCredits).toBe(97);
  });

  it('when an organisation pays now, and the user paid then', async () => {
    const acme = await organisation(service);
    const alice = await userWithCredits(service, 100);
    await acme.member('member', { userId: alice.userId });
    const team = freshUser('team');
    const call = callOf(alice.userId, { team });
    await expectCounts([call], { accepted: 1 });
    await set(acme.id, team);
    await expectCounts([call], { duplicates: 1 });
    expect(await recordsOf(call)).toMatchObject([{ account_id: alice.userId }]);
  });

  it('when the user is no longer a member, whether the service knows the user or not', async () => {
    const { acme, team } = await paidTeam();
    const known = await userWithCredits(service, 100);
    for (const userId of [known.userId, freshUser('unseen')]) {
      await acme.member('member', { userId });
      const call = callOf(userId, { team });
      await expectCounts([call], { accepted: 1 });
      await acme.owner.delete(`${acme.path}/members/${userId}`);
      await expectCounts([call], { duplicates: 1 });
      expect(await recordsOf(call)).toHaveLength(1);
    }
  });

  it('when who pays changes while it is on its way to the database, also to the user alone', async () => {
    for (const isRemoved of [false, true]) {
      const { acme, team, mapped } = await paidTeam();
      const other = await organisation(service);
      await other.allocate(1000);
      const alice = await userWithCredits(service, 100);
      for (const each of [acme, other]) await each.member('member', { userId: alice.userId });
      const call = callOf(alice.userId, { team });
      const report = () => service.internal().post<Counts>(LOGS, [call]);
      const gate = await service.owner.connect();
      await gate.query('BEGIN');
      await gate.query('SELECT FROM credit_balances WHERE account_id = $1 FOR UPDATE', [acme.id]);
      const first = report();
      await expect.poll(() => waitingForLocks(service), { interval: 5, timeout: 5000 }).toBe(1);
      if (isRemoved) expect((await admin.delete(`${ACCOUNTS}/${mapped.id}`)).status).toBe(204);
      else await set(other.id, team);
      expect((await report()).body).toMatchObject({ accepted: 1 });
      await gate.query('ROLLBACK');
      gate.release();
      expect((await first).body).toMatchObject({ accepted: 0, duplicates: 1 });
      expect(await recordsOf(call)).toMatchObject([{ account_id: isRemoved ? alice.userId : other.id }]);
    }
  });

  it('when who pays changes between its charge and the commit: the change waits', async () => {
    const { team } = await paidTeam();
    const other = await organisation(service);
    // As a charge has it until its commit.
    const charging = `SELECT FROM gateways WHERE name = 'litellm' FOR SHARE`;
    const [answer] = await holdUp(
      service,
      charging,
      [],
      [() => put({ kind: 'team', externalId: team, accountId: other.id })],
    );
    expect(answer).toMatchObject({ status: 200, body: { accountId: other.id } });
  });

  it('when whole batches of several members come at once, at two instances', async () => {
    const { acme, team } = await paidTeam();
    const members = await times(3, () => acme.member('member'));
    const batch = Array.from({ length: 30 }, (_, index) =>
      callOf(members[index % 3]?.userId as string, { team }),
    );
    const other = await service.another();
    const answers = await times(6, (index) =>
      (index % 2 ? other : service).internal().post<Counts>(LOGS, index % 3 ? batch : batch.toReversed()),
    );
    await other.close();
    expect(answers.reduce((sum, { body }) => sum + body.accepted, 0)).toBe(30);
    expect(await left(acme)).toBe(1000 - 90);
  });
});

async function listed(): Promise<Mapped[]> {
  const all: Mapped[] = [];
  let cursor = '';
  do {
    const { body } = await admin.get<{ items: Mapped[]; nextCursor: string | null }>(
      `${ACCOUNTS}?limit=3${cursor}`,
    );
    all.push(...body.items);
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`;
  } while (cursor !== '');
  return all;
}

describe('/integrations/litellm/accounts', () => {
  it('200: lists what is set, page by page, each team and organization once', async () => {
    const acme = await organisation(service);
    const unitId = await acme.unit('Research');
    const teams = Array.from({ length: 5 }, () => freshUser('team'));
    for (const team of teams) await set(acme.id, team);
    const changed = await set(acme.id, teams[0] as string, { unitId });
    const asOrganization = await set(acme.id, teams[0] as string, { kind: 'organization' });
    const mine = (await listed()).filter(({ accountId }) => accountId === acme.id);
    expect(mine.map(({ externalId }) => externalId)).toEqual([...teams.slice(1), teams[0], teams[0]]);
    expect(mine.slice(-2)).toEqual([changed, asOrganization]);
    expect(changed).toMatchObject({ kind: 'team', unitId, setBy: admin.userId });
  });

  it('200: the same again changes nothing, and several at once leave one', async () => {
    const { acme, team, mapped } = await paidTeam();
    const before = await snapshot(service.owner);
    expect(await set(acme.id, team)).toEqual(mapped);
    expect(await snapshot(service.owner)).toEqual(before);
    const others = await times(3, () => organisation(service));
    const answers = await times(9, (index) =>
      put({ kind: 'team', externalId: team, accountId: others[index % 3]?.id }),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect((await listed()).filter(({ externalId }) => externalId === team)).toHaveLength(1);
  });

  it('a unit that is deleted leaves the team to the organisation', async () => {
    const { acme, team } = await paidTeam();
    const unitId = await acme.unit('Research');
    const mapped = await set(acme.id, team, { unitId });
    expect((await acme.owner.delete(`${acme.path}/units/${unitId}`)).status).toBe(204);
    expect(await listed()).toContainEqual({ ...mapped, unitId: null });
  });

  it('a unit that is deleted while it is set for a team leaves the team to the organisation', async () => {
    const { acme, team, mapped } = await paidTeam();
    const unitId = await acme.unit('Research');
    const [made, deleted] = await holdUp<Answer<unknown>>(
      service,
      // What a change takes last.
      `SELECT FROM gateways WHERE name = 'litellm' FOR SHARE`,
      [],
      [
        () => put({ kind: 'team', externalId: team, accountId: acme.id, unitId }),
        () => acme.owner.delete(`${acme.path}/units/${unitId}`),
      ],
    );
    expect([made?.status, deleted?.status]).toEqual([200, 204]);
    const [now] = (await listed()).filter(({ externalId }) => externalId === team);
    expect(now).toMatchObject({ accountId: acme.id, unitId: null });
    expect(now?.id).not.toBe(mapped.id);
  });

  it('400 for a unit that is gone by the time the setting is written', async () => {
    const { acme, team, mapped } = await paidTeam();
    const unitId = await acme.unit('Research');
    const gate = await service.owner.connect();
    await gate.query('BEGIN');
    await gate.query('DELETE FROM units WHERE account_id = $1 AND id = $2', [acme.id, unitId]);
    const late = put({ kind: 'team', externalId: team, accountId: acme.id, unitId });
    await expect.poll(() => waitingForLocks(service), { interval: 5, timeout: 5000 }).toBe(1);
    await gate.query('COMMIT');
    gate.release();
    expectProblem(await late, 400, { field: 'unitId' });
    expect(await listed()).toContainEqual(mapped);
  });

  it('400 for what is no organisation, no unit of it, and no id', async () => {
    const { acme, team } = await paidTeam();
    const other = await organisation(service);
    const unitId = await other.unit('Research');
    const alice = await userWithCredits(service, 1);
    const before = await snapshot(service.owner);
    const body = { kind: 'team', externalId: team, accountId: acme.id };
    for (const [field, wrong] of [
      ['accountId', { accountId: alice.userId }],
      ['accountId', { accountId: `org:${randomUUID()}` }],
      ['accountId', { accountId: 'org:' }],
      ['unitId', { unitId }],
      ['kind', { kind: 'user' }],
      ['externalId', { externalId: '' }],
      ['externalId', { externalId: 'x'.repeat(201) }],
    ] as const) {
      expectProblem(await put({ ...body, ...wrong }), 400, { field });
    }
    expect(await snapshot(service.owner)).toEqual(before);
  });

  it('404 for what is not set, or no longer', async () => {
    const { mapped } = await paidTeam();
    expect((await admin.delete(`${ACCOUNTS}/${mapped.id}`)).status).toBe(204);
    for (const id of [mapped.id, 999_999_999]) {
      expectProblem(await admin.delete(`${ACCOUNTS}/${id}`), 404, { code: 'gateway_account.not_found' });
    }
  });
});
