import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { UsageTotalsSweeper } from '../../src/usage/usage-totals.sweeper.js';
import { SeededRandom } from '../support/seeded-random.js';
import { startService, type TestService } from '../support/service.js';

const MILLISECONDS_PER_DAY = 86_400_000;
const dayText = (daysAgo: number) =>
  new Date(Date.now() - daysAgo * MILLISECONDS_PER_DAY).toISOString().slice(0, 10);
const noon = (daysAgo: number) => `${dayText(daysAgo)}T12:00:00Z`;

interface Stats {
  byUser: Record<string, number>;
  byUserAsOf: string | null;
  truncated: string[];
}
interface Range {
  startDate?: string;
  endDate?: string;
}

let service: TestService;
let second: TestService;
beforeAll(async () => {
  service = await startService();
  second = await service.another();
});
afterAll(async () => {
  await second.close();
  await service.close();
});

async function ask(instance: TestService, range: Range, top = 1000) {
  const query = new URLSearchParams({ ...range, top: String(top) } as Record<string, string>);
  const root = instance.as('root', { role: 'admin' });
  const { status, body } = await root.get<Stats>(`/api/usage/system-stats?${query.toString()}`);
  expect(status).toBe(200);
  return { asOf: body.byUserAsOf, users: Object.entries(body.byUser), truncated: body.truncated };
}

/** The same by adding up the records. */
async function addedUp({ startDate, endDate }: Range, top = 1000) {
  const { rows } = await service.owner.query<{ account_id: string; credits: string }>(
    `SELECT account_id, sum(credits) AS credits FROM usage_records
      WHERE ($1::timestamptz IS NULL OR timestamp >= $1)
        AND ($2::timestamptz IS NULL OR timestamp < $2::timestamptz + $3::interval)
      GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4`,
    [startDate, endDate, endDate?.includes('T') ? '1 millisecond' : '1 day', top],
  );
  return rows.map((row): [string, number] => [row.account_id, Number(row.credits)]);
}

async function record(instance: TestService, userId: string, credits: number, daysAgo: number) {
  const usage = { service: 'chat', operation: 'm', credits, timestamp: noon(daysAgo) };
  expect((await instance.as(userId).post('/api/usage/record', usage)).status).toBe(201);
}

/** What a late finalize or a review does to a record. */
const replace = (id: string, credits: number) =>
  service.owner.query(
    `SELECT replace_usage(jsonb_populate_record(r, jsonb_build_object('credits', $2::bigint)))
       FROM usage_records r WHERE id = $1`,
    [id, credits],
  );

const sweep = (instance: TestService) => instance.get(UsageTotalsSweeper).sweep();

describe('byUser of a range with few records', () => {
  const STEPS = 150;
  const DAYS = 14;
  const USERS = Array.from({ length: 14 }, (_, index) => `user-${String.fromCharCode(97 + index)}`);
  const RANGES: Range[] = [
    { startDate: dayText(12), endDate: dayText(6) },
    { startDate: dayText(9), endDate: dayText(0) },
    { startDate: `${dayText(11)}T13:00:00Z`, endDate: `${dayText(4)}T11:59:59.999Z` },
    { endDate: dayText(4) },
    {},
  ];
  const random = new SeededRandom();
  const anyInstance = () => random.pick([service, second]);
  /** Few different numbers, so that many users have as many. */
  const someCredits = () => random.pick([0, 1, 1, 2, 2, 3, 5]);

  const recordAny = () =>
    record(anyInstance(), random.pick(USERS), someCredits(), random.integer(0, DAYS - 1));
  async function replaceAny() {
    const { rows } = await service.owner.query<{ id: string }>('SELECT id FROM usage_records ORDER BY id');
    await replace(random.pick(rows).id, someCredits());
  }

  it(`is the sum of the records, order and all, through ${STEPS} late records, corrections and closings`, async () => {
    for (let index = 0; index < 40; index++) await recordAny();
    for (let step = 0; step < STEPS; step++) {
      // Nothing is closed at first, then one day after the other.
      if (step > 30 && step % 8 === 0) await service.owner.query('SELECT usage_close_day()');
      await random.pick([recordAny, replaceAny, () => (step > 120 ? sweep(anyInstance()) : recordAny())])();
      const range = random.pick(RANGES);
      const top = random.pick([1, 3, 7, 1000]);
      const { users, asOf } = await ask(anyInstance(), range, top);
      expect(users, `TEST_SEED=${random.seed}, step ${step}`).toEqual(await addedUp(range, top));
      expect(Date.now() - Date.parse(asOf ?? '')).toBeLessThan(60_000);
    }
    expect((await lists()).length).toBe(0);
  });
});

const lists = async () =>
  (
    await service.owner.query<{ days: string; isMade: boolean }>(
      `SELECT first_day || ' ' || end_day AS days, made_at IS NOT NULL AS "isMade"
         FROM usage_leaders ORDER BY first_day`,
    )
  ).rows;

describe('byUser of a range with more than 20,000 records', () => {
  const RANGE: Range = { startDate: dayText(19), endDate: dayText(15) };
  const age = (hours: number) =>
    service.owner.query(
      'UPDATE usage_leaders SET (made_at, asked_at) = (made_at - $1::interval, asked_at - $1::interval)',
      [`${hours} hours`],
    );
  beforeAll(async () => {
    for (const [index, userId] of ['d', 'b', 'c', 'giant'].entries())
      await record(service, userId, 5 + index, 17);
    await record(service, 'a', 8, 15);
    // It counts as so many.
    await service.owner.query(`UPDATE usage_daily SET records = 20001 WHERE account_id = 'giant'`);
    await service.owner.query('TRUNCATE usage_totals; UPDATE usage_closing SET closed_until = DEFAULT');
  });
  beforeEach(() => service.owner.query('DELETE FROM usage_leaders'));

  it('is a list that a sweeper makes after the first question, for all instances, and says how old it is', async () => {
    expect(await ask(service, RANGE)).toMatchObject({ asOf: null, users: [] });
    expect(await ask(second, RANGE)).toMatchObject({ asOf: null, users: [] });
    const begun = Date.now();
    await sweep(second);
    for (const [instance, top] of [[service, 1000] as const, [second, 2] as const]) {
      const { asOf, users } = await ask(instance, RANGE, top);
      expect(users).toEqual(await addedUp(RANGE, top));
      expect(Date.parse(asOf ?? '')).toBeGreaterThan(begun - 5000);
      expect(Date.parse(asOf ?? '')).toBeLessThan(Date.now() + 5000);
    }
    expect((await ask(service, RANGE, 0)).users).toEqual([]);
  });

  it('is made anew after an hour, when it is asked for, and has the late records and corrections then', async () => {
    await ask(service, RANGE);
    await sweep(service);
    const before = await ask(service, RANGE);
    await record(second, 'b', 50, 16);
    const { rows } = await service.owner.query<{ id: string }>(
      `SELECT id FROM usage_records WHERE account_id = 'c' ORDER BY id DESC LIMIT 1`,
    );
    await replace((rows[0] as { id: string }).id, 1);
    await sweep(second);
    expect(await ask(second, RANGE)).toEqual(before);
    await age(2);
    // The question that finds it old is answered from it.
    expect((await ask(second, RANGE)).users).toEqual(before.users);
    await sweep(second);
    const after = await ask(service, RANGE);
    expect(after.users).toEqual(await addedUp(RANGE));
    expect(after.users).not.toEqual(before.users);
    // Not asked for since.
    await service.owner.query('UPDATE usage_leaders SET asked_at = made_at');
    await age(2);
    const old = await service.owner.query('SELECT made_at FROM usage_leaders');
    await sweep(second);
    expect((await service.owner.query('SELECT made_at FROM usage_leaders')).rows).toEqual(old.rows);
  });

  it('counts whole days: every one that the range touches', async () => {
    for (const range of [
      RANGE,
      { startDate: `${dayText(19)}T18:00:00Z`, endDate: `${dayText(15)}T06:00:00Z` },
      { startDate: `${dayText(19)}T00:00:00Z`, endDate: `${dayText(15)}T23:59:59.999Z` },
    ])
      await ask(service, range);
    expect(await lists()).toEqual([{ days: `${dayText(19)} ${dayText(14)}`, isMade: false }]);
    await ask(service, {});
    expect(await lists()).toContainEqual({ days: '-infinity infinity', isMade: false });
    await Promise.all([sweep(service), sweep(second)]);
    await sweep(service);
    expect((await ask(service, {})).users).toEqual(await addedUp({}));
  });

  it('is said to be cut when there are further users, though those named have used more before the range', async () => {
    await record(service, 'd', 1000, 19);
    const range = { startDate: `${dayText(19)}T18:00:00Z`, endDate: dayText(15) };
    await ask(service, range);
    await sweep(service);
    for (const [top, isCut] of [
      [1, true],
      [4, true],
      [5, false],
    ] as const) {
      const { asOf, users, truncated } = await ask(service, range, top);
      expect(asOf).not.toBeNull();
      expect(users).toHaveLength(top);
      expect(truncated.includes('byUser'), `top=${top}`).toBe(isCut);
    }
  });

  it('is dropped when it was not asked for in a week, and when 50 were asked for later', async () => {
    await ask(service, RANGE);
    await sweep(service);
    await age(24 * 7 + 1);
    await sweep(service);
    expect(await lists()).toHaveLength(0);
    await ask(service, RANGE);
    for (let days = 20; days < 70; days++) await ask(service, { ...RANGE, startDate: dayText(days) });
    await sweep(service);
    const kept = await lists();
    expect(kept).toHaveLength(50);
    expect(kept.every(({ isMade }) => isMade)).toBe(true);
    expect(kept).not.toContainEqual({ days: `${dayText(19)} ${dayText(14)}`, isMade: true });
  });

  it('is read on a replica, which can note nothing', async () => {
    const options = '-c default_transaction_read_only=on';
    const replica = new pg.Client({ connectionString: service.databaseUrl, options });
    await replica.connect();
    const { rows } = await replica.query(`SELECT usage_leaders('2020-01-01', '2021-01-01') AS answer`);
    await replica.end();
    expect(rows).toEqual([{ answer: { users: [], asOf: null } }]);
    expect(await lists()).toEqual([]);
  });
});
