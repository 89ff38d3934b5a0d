import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { organisation, patch, type TestOrganisation } from '../support/organisations.js';
import { expectProblem } from '../support/problems.js';
import { parseCsv } from '../support/csv.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';

const RECORDS = 120;
const DAY = 86_400_000;

interface Spent {
  id: number;
  userId: string;
  unitId: number | null;
  apiKeyId: number | null;
  tags: Record<string, string> | null;
  timestamp: string;
  credits: number;
}
interface Groups {
  groups: { name: string | null; records: number; credits: number }[];
  other: object | null;
  since: string | null;
}

const random = new SeededRandom();
const message = `TEST_SEED=${random.seed}`;
let service: TestService;
let acme: TestOrganisation;
let members: HttpClient[];
let units: number[];
let spent: Spent[];

/** Usage of a week, of members who move from unit to unit, with tags and keys or without. */
beforeAll(async () => {
  service = await startService();
  acme = await organisation(service);
  const top = await acme.unit('top');
  units = [top, await acme.unit('below', top)];
  members = [await acme.member('member', { unitId: top }), await acme.member('admin'), acme.owner];
  const clients: HttpClient[][] = [];
  for (const member of members) {
    const key = { name: 'k', accountId: acme.id, permissions: ['usage:write'] };
    const made = await member.post<{ key: string }>('/api/api-keys', key);
    expect(made.status, made.text).toBe(201);
    clients.push([member, service.withHeaders({ 'x-api-key': made.body.key })]);
  }
  spent = [];
  for (let n = 0; n < RECORDS; n++) {
    const of = random.integer(0, members.length - 1);
    if (random.chance(0.2)) {
      const unitId = random.pick([...units, null]);
      const path = `${acme.path}/members/${(members[of] as HttpClient).userId}`;
      expect((await patch(acme.boss, path, { unitId })).status).toBe(200);
    }
    const answer = await random.pick(clients[of] as HttpClient[]).post<Spent>('/api/usage/record', {
      accountId: acme.id,
      service: 'chat',
      operation: random.pick(['a', 'b']),
      credits: random.integer(0, 1000),
      timestamp: new Date(Date.now() - random.integer(0, 7 * DAY)).toISOString(),
      tags: random.pick([
        undefined,
        {},
        { feature: 'search' },
        { feature: 'a=b' },
        { feature: 'search', team: 'x' },
      ]),
    });
    expect(answer.status, answer.text).toBe(201);
    spent.push(answer.body);
  }
});
afterAll(() => service.close());

const get = async <Body>(user: HttpClient, path: string, query: object = {}) => {
  const text = new URLSearchParams({ accountId: acme.id, ...query }).toString();
  const answer = await user.get<Body>(`/api/usage/${path}?${text}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.body;
};

function added(records: Spent[], nameOf: (record: Spent) => string | null): Map<string | null, Spent[]> {
  const names = new Set(records.map(nameOf));
  return new Map([...names].map((name) => [name, records.filter((record) => nameOf(record) === name)]));
}
const creditsOf = (records: Spent[]) => records.reduce((sum, { credits }) => sum + credits, 0);

describe('what an organisation has spent', () => {
  it('is added up by user and by unit, as the records say, in any range', async () => {
    for (let round = 0; round < 30; round++) {
      const time = () => new Date(Date.now() - random.integer(0, 8 * DAY)).toISOString();
      const [startDate, endDate] = [time(), time()].sort() as [string, string];
      const within = spent.filter((r) => r.timestamp >= startDate && r.timestamp <= endDate);
      const stats = await get<{ byUser: object; byUnit: object }>(acme.owner, 'stats', {
        startDate,
        endDate,
      });
      const credits = (nameOf: (record: Spent) => string | null) => {
        const sums: Record<string, number> = {};
        for (const [name, records] of added(within, nameOf))
          if (name !== null) sums[name] = creditsOf(records);
        return sums;
      };
      expect(stats, message).toMatchObject({
        byUser: credits(({ userId }) => userId),
        byUnit: credits(({ unitId }) => (unitId === null ? null : String(unitId))),
        truncated: [],
      });
    }
  });

  it('a member sees only what is theirs', async () => {
    const [member] = members as [HttpClient];
    const own = spent.filter(({ userId }) => userId === member.userId);
    const stats = await get<{ byUser: object; byUnit: Record<string, number> }>(member, 'stats');
    expect(stats.byUser).toEqual({ [member.userId]: creditsOf(own) });
    const { groups } = await get<Groups>(member, 'breakdown', { by: 'tag', tagName: 'feature' });
    expect(groups.reduce((sum, { records }) => sum + records, 0)).toBe(own.length);
    const others = await get<{ items: object[] }>(member, 'records', { memberId: acme.owner.userId });
    expect(others.items).toEqual([]);
  });

  it.each([
    ['apiKey', ({ apiKeyId }: Spent) => (apiKeyId === null ? null : String(apiKeyId))],
    ['tag', ({ tags }: Spent) => tags?.feature ?? null],
  ])('is broken down by %s', async (by, nameOf) => {
    const answer = await get<Groups>(
      acme.owner,
      'breakdown',
      by === 'tag' ? { by, tagName: 'feature' } : { by },
    );
    const expected = [...added(spent, nameOf)].map(([name, records]) => ({
      ...{ name, records: records.length },
      credits: creditsOf(records),
    }));
    expect(answer.groups, message).toHaveLength(expected.length);
    expect(answer.groups, message).toEqual(expect.arrayContaining(expected));
    expect(answer.groups.map(({ credits }) => credits)).toEqual(
      expected.map(({ credits }) => credits).sort((a, b) => b - a),
    );
    expect(answer).toMatchObject({ other: null, since: null });
  });

  it('is found by member, unit, key and tag', async () => {
    const [{ apiKeyId }] = spent.filter((record) => record.apiKeyId !== null) as [Spent];
    const [member] = members as [HttpClient];
    for (const [filter, matches] of [
      [{ memberId: member.userId }, (r: Spent) => r.userId === member.userId],
      [{ unitId: units[0] }, (r: Spent) => r.unitId === units[0]],
      [{ apiKeyId }, (r: Spent) => r.apiKeyId === apiKeyId],
      [{ tag: 'feature=a=b' }, (r: Spent) => r.tags?.feature === 'a=b'],
      [
        { tag: 'team=x', memberId: member.userId },
        (r: Spent) => r.tags?.team === 'x' && r.userId === member.userId,
      ],
      [{ tag: 'team=search' }, () => false],
    ] as const) {
      const expected = spent.filter(matches).map(({ id }) => id);
      const { items } = await get<{ items: Spent[] }>(acme.owner, 'records', { ...filter, limit: 200 });
      expect(new Set(items.map(({ id }) => id)), message).toEqual(new Set(expected));
      const query = new URLSearchParams({ accountId: acme.id, ...filter } as Record<string, string>);
      const { text } = await acme.owner.get(`/api/usage/records?${query.toString()}`, { accept: 'text/csv' });
      expect(parseCsv(text).slice(1)).toHaveLength(expected.length);
    }
  });

  it.each([
    ['breakdown', { by: 'user' }, 'by'],
    ['breakdown', { by: 'tag' }, 'tagName'],
    ['breakdown', { by: 'apiKey', tagName: 'feature' }, 'tagName'],
    ['breakdown', { by: 'tag', tagName: 'a b' }, 'tagName'],
    ['records', { tag: 'search' }, 'tag'],
    ['records', { tag: 'a b=search' }, 'tag'],
    ['records', { unitId: 'x' }, 'unitId'],
  ])('400: /usage/%s with %j names the field', async (path, query, field) => {
    const text = new URLSearchParams({ accountId: acme.id, ...query } as Record<string, string>);
    expectProblem(await acme.owner.get(`/api/usage/${path}?${text.toString()}`), 400, { field });
  });
});

it('a breakdown names the 200 largest groups, adds up the others, and counts the newest 50,000 records', async () => {
  const user = service.as(freshUser());
  await user.get('/api/credits/balance');
  await service.owner.query(
    `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, billing_status, tags)
     SELECT $1, $1, now() - n * interval '1 second', 'chat', 'm', least(n % 250, 1000), 'recorded',
            jsonb_build_object('n', n % 250) FROM generate_series(1, 50010) n`,
    [user.userId],
  );
  const path = '/api/usage/breakdown?by=tag&tagName=n';
  const all = (await user.get<Groups>(path)).body;
  expect(all.groups).toHaveLength(200);
  expect(all.groups[0]).toEqual({ name: '249', records: 200, credits: 200 * 249 });
  // 50 × 200 records, of 0 to 49 credits.
  expect(all.other).toEqual({ name: null, records: 10_000, credits: (200 * (49 * 50)) / 2 });
  expect(Date.parse(all.since as string)).toBeGreaterThan(Date.now() - 50_010_000);
  const some = (await user.get<Groups>(`${path}&startDate=${new Date(Date.now() - 100_000).toISOString()}`))
    .body;
  expect(some).toMatchObject({ other: null, since: null });
});
