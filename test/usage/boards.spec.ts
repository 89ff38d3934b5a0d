import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WRITE_USAGE } from '../support/sql.js';
import { UsageTotalsSweeper } from '../../src/usage/usage-totals.sweeper.js';
import { waitingForLocks } from '../support/hold-up.js';
import { userWithCredits } from '../support/money.js';
import { SeededRandom } from '../support/seeded-random.js';
import { startService, type TestService } from '../support/service.js';

const MILLISECONDS_PER_DAY = 86_400_000;
const dayText = (daysAgo: number) =>
  new Date(Date.now() - daysAgo * MILLISECONDS_PER_DAY).toISOString().slice(0, 10);
const noon = (daysAgo: number) => `${dayText(daysAgo)}T12:00:00Z`;

interface Stats {
  totalCredits: number;
  byUser: Record<string, number>;
}
interface Range {
  startDate?: string;
  endDate?: string;
}

/** A service that makes boards of so few users for any closed range with records. */
async function withBoards(users: number): Promise<TestService> {
  const service = await startService();
  await service.owner.query(WRITE_USAGE);
  await service.owner.query(
    'UPDATE usage_closing SET begins_at = now(), board_records = 1, board_users = $1',
    [users],
  );
  return service;
}

const queryOf = (range: Range, top: number) =>
  new URLSearchParams({ ...range, top: String(top) } as Record<string, string>).toString();

async function ask(service: TestService, range: Range, top: number): Promise<Stats> {
  const admin = service.as('root', { role: 'admin' });
  const answer = await admin.get<Stats>(`/api/usage/system-stats?${queryOf(range, top)}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

const leaders = async (service: TestService, range: Range, top: number) =>
  Object.entries((await ask(service, range, top)).byUser);

/** The same by adding up the records. */
async function addedUp(service: TestService, { startDate, endDate }: Range, top: number) {
  const { rows } = await service.owner.query<{ account_id: string; credits: string }>(
    `SELECT account_id, sum(credits) AS credits FROM usage_records
      WHERE ($1::timestamptz IS NULL OR timestamp >= $1)
        AND ($2::timestamptz IS NULL OR timestamp < $2::timestamptz + $3::interval)
      GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4`,
    [startDate, endDate, endDate?.includes('T') ? '1 millisecond' : '1 day', top],
  );
  return rows.map((row): [string, number] => [row.account_id, Number(row.credits)]);
}

async function record(service: TestService, userId: string, credits: number, daysAgo: number): Promise<void> {
  const usage = { service: 'chat', operation: 'm', credits, timestamp: noon(daysAgo) };
  expect((await service.as(userId).post('/api/usage/record', usage)).status).toBe(201);
}

/** What a late finalize does to a record. */
async function replace(service: TestService, id: string, credits: number): Promise<void> {
  await service.owner.query(
    `SELECT replace_usage(jsonb_populate_record(r, jsonb_build_object('credits', $2::bigint, 'uncollected_credits', 0)))
       FROM usage_records r WHERE id = $1`,
    [id, credits],
  );
}

const sweep = (service: TestService) => service.get(UsageTotalsSweeper).sweep();

async function boardsOf(service: TestService) {
  const { rows } = await service.owner.query<{ users: string[]; credits: number[] }>(
    'SELECT users, credits FROM usage_boards ORDER BY from_day, end_day',
  );
  return rows;
}

describe('byUser of GET /usage/system-stats, with boards', () => {
  const STEPS = 300;
  const DAYS = 14;
  const USERS = Array.from({ length: 14 }, (_, index) => `user-${String.fromCharCode(97 + index)}`);
  const RANGES: Range[] = [
    { startDate: dayText(12), endDate: dayText(6) },
    { startDate: dayText(9), endDate: dayText(3) },
    { startDate: dayText(9), endDate: dayText(0) },
    { startDate: dayText(10), endDate: `${dayText(1)}T12:00:00Z` },
    { startDate: `${dayText(11)}T11:00:00.000Z`, endDate: dayText(5) },
    { startDate: `${dayText(11)}T13:00:00Z`, endDate: `${dayText(4)}T11:59:59.999Z` },
    { endDate: dayText(4) },
    {},
  ];
  const random = new SeededRandom();
  let service: TestService;
  let second: TestService;
  beforeAll(async () => {
    service = await withBoards(4);
    second = await service.another();
    for (const userId of USERS) await service.as(userId).get('/api/credits/balance');
    for (let index = 0; index < 60; index++) await anyRecord();
  });
  afterAll(async () => {
    await second.close();
    await service.close();
  });

  /** Few different numbers, so that many users have as many. */
  const someCredits = () => random.pick([0, 1, 1, 2, 2, 3, 5]);
  const anyInstance = () => random.pick([service, second]);
  const anyRecord = () =>
    record(anyInstance(), random.pick(USERS), someCredits(), random.integer(0, DAYS - 1));

  async function replaceAny(): Promise<void> {
    const { rows } = await service.owner.query<{ id: string }>('SELECT id FROM usage_records ORDER BY id');
    await replace(service, random.pick(rows).id, someCredits());
  }

  /** A call of an old day that waited for a review is billed with other credits, or let go. */
  async function review(): Promise<void> {
    const { userId } = await userWithCredits(service, 100);
    const waiting = {
      account_id: userId,
      timestamp: noon(random.integer(3, DAYS)),
      service: 'chat',
      operation: 'm',
    };
    const { rows } = await service.owner.query<{ id: string }>(
      'SELECT id FROM write_usage(jsonb_populate_record(NULL::usage_records, $1))',
      [{ ...waiting, credits: 3, uncollected_credits: 3, metadata: {}, billing_status: 'needs_review' }],
    );
    const decision = random.chance(0.5) ? { action: 'bill', credits: someCredits() } : { action: 'waive' };
    const admin = anyInstance().as('root', { role: 'admin' });
    const answer = await admin.post(`/api/usage/records/${rows[0]?.id}/review`, { ...decision, version: 1 });
    expect(answer.status).toBe(200);
  }

  const ACTIONS = [anyRecord, anyRecord, replaceAny, replaceAny, review, () => sweep(anyInstance())];

  it(`is what adding up the records says, order and all, through ${STEPS} changes, closings and questions`, async () => {
    let told = 0;
    for (let step = 0; step < STEPS; step++) {
      // Nothing is closed at first, then one day after the other.
      if (step > 40 && step % 12 === 0) await service.owner.query('SELECT usage_close_day()');
      if (random.chance(0.5)) await random.pick(ACTIONS)();
      const range = random.pick(RANGES);
      const top = random.pick([1, 2, 3, 4, 7, 1000]);
      const message = `TEST_SEED=${random.seed}, step ${step}: ${queryOf(range, top)}`;
      const boards = JSON.stringify(await boardsOf(service));
      expect(await leaders(anyInstance(), range, top), message).toEqual(await addedUp(service, range, top));
      if (boards !== '[]' && boards === JSON.stringify(await boardsOf(service))) told++;
    }
    // Else the boards were made anew each time, or never.
    expect(told).toBeGreaterThan(STEPS / 4);
  });
});

describe('a board', () => {
  const RANGE: Range = { startDate: dayText(9), endDate: dayText(5) };
  let service: TestService;
  let second: TestService;
  const CREDITS: [string, number][] = [
    ['z', 10],
    ['b', 7],
    ['c', 7],
    ['d', 5],
  ];
  async function start(users: number): Promise<void> {
    service = await withBoards(users);
    second = await service.another();
    for (const [userId, credits] of CREDITS) await record(service, userId, credits, 7);
    await sweep(service);
  }
  async function stop(): Promise<void> {
    await second.close();
    await service.close();
  }
  async function with2Users(work: () => Promise<void>): Promise<void> {
    await start(2);
    await work().finally(stop);
  }
  const idOf = async (userId: string) => {
    const { rows } = await service.owner.query<{ id: string }>(
      'SELECT min(id) AS id FROM usage_records WHERE account_id = $1',
      [userId],
    );
    return (rows[0] as { id: string }).id;
  };
  /** Tells who was told from a board and who was added up. */
  const falsify = () => service.owner.query('UPDATE usage_boards SET credits[1] = 999');

  it('is made by the first question and answers the later ones, on every instance', () =>
    with2Users(async () => {
      expect(await leaders(service, RANGE, 2)).toEqual(CREDITS.slice(0, 2));
      expect(await boardsOf(service)).toEqual([{ users: ['z', 'b'], credits: [10, 7] }]);
      await falsify();
      expect(await leaders(second, RANGE, 1)).toEqual([['z', 999]]);
      // More than it has: made anew, and it cannot tell, for it has no more.
      expect(await leaders(second, RANGE, 4)).toEqual(CREDITS);
      expect(await leaders(second, RANGE, 1)).toEqual([['z', 10]]);
    }));

  it('is not made for few records, for a range that is mostly open, for no users, or before closing begins', () =>
    with2Users(async () => {
      await service.owner.query('UPDATE usage_closing SET board_records = 5');
      expect(await leaders(service, RANGE, 2)).toEqual(CREDITS.slice(0, 2));
      await service.owner.query('UPDATE usage_closing SET board_records = 1');
      for (let index = 0; index < 5; index++) await record(service, 'b', 1, 0);
      expect(await leaders(service, { startDate: dayText(9) }, 1)).toEqual([['b', 12]]);
      expect(await ask(service, RANGE, 0)).toMatchObject({ byUser: {} });
      // While a release before may still close days.
      await service.owner.query(`UPDATE usage_closing SET begins_at = now() + interval '1 minute'`);
      expect(await leaders(service, RANGE, 2)).toEqual(CREDITS.slice(0, 2));
      expect(await boardsOf(service)).toEqual([]);
    }));

  it('lets somebody who is not on it pass with what comes since, also where credits are equal', () =>
    with2Users(async () => {
      const open: Range = { startDate: dayText(9), endDate: dayText(0) };
      await leaders(service, open, 2);
      const made = await boardsOf(service);
      await record(service, 'c', 3, 0);
      expect(await leaders(service, open, 1)).toEqual([['c', 10]]);
      await record(service, 'd', 5, 7);
      expect(await leaders(service, open, 1)).toEqual([['c', 10]]);
      await record(service, 'd', 1, 7);
      expect(await leaders(service, open, 2)).toEqual([
        ['d', 11],
        ['c', 10],
      ]);
      expect(await boardsOf(service)).toEqual(made);
    }));

  it('finds who comes up again, whatever was taken from them before it was made', () =>
    with2Users(async () => {
      await record(service, 'd', 100, 6);
      await sweep(service);
      const { rows } = await service.owner.query<{ id: string }>(
        'SELECT id FROM usage_records WHERE credits = 100',
      );
      await replace(service, (rows[0] as { id: string }).id, 1);
      expect(await leaders(service, RANGE, 1)).toEqual([['z', 10]]);
      await record(service, 'd', 9, 6);
      expect(await leaders(service, RANGE, 1)).toEqual([['d', 15]]);
    }));

  it('does not tell who is second when somebody it does not know may be, with equal credits', () =>
    with2Users(async () => {
      const open: Range = { startDate: dayText(9), endDate: dayText(0) };
      await leaders(service, open, 2);
      await record(service, 'd', 2, 0);
      await replace(service, await idOf('b'), 1);
      // Of c and d, who have 7 both, the board knows d alone.
      expect(await leaders(service, open, 2)).toEqual([
        ['z', 10],
        ['c', 7],
      ]);
    }));

  it('is kept right when changes are added to the totals: who comes up enters, who falls leaves', () =>
    with2Users(async () => {
      await leaders(service, RANGE, 2);
      await record(service, 'd', 4, 6);
      await replace(service, await idOf('z'), 8);
      await replace(service, await idOf('b'), 1);
      await sweep(second);
      const [board] = await boardsOf(service);
      expect(byUser(board)).toEqual([
        ['d', 9],
        ['z', 8],
      ]);
      expect(await leaders(second, RANGE, 2)).toEqual([
        ['d', 9],
        ['z', 8],
      ]);
    }));
  const byUser = (board: { users: string[]; credits: number[] } | undefined) =>
    board?.users.map((user, index) => [user, board.credits[index]]).sort();

  it('that is being made misses nothing that is settled meanwhile, and nobody waits for it', () =>
    with2Users(async () => {
      const gate = await service.owner.connect();
      await gate.query('BEGIN');
      // Who makes the same board has added everybody up when the key is found to be somebody else's, and waits.
      await gate.query(
        `INSERT INTO usage_boards (from_day, end_day, users, credits, floor_credits, asked_on)
         VALUES ($1, $2, '{}', '{}', 0, now())`,
        [RANGE.startDate, dayText(4)],
      );
      const first = leaders(service, RANGE, 2);
      await expect.poll(() => waitingForLocks(service)).toBe(1);
      await record(second, 'd', 9, 6);
      await sweep(second);
      expect(await leaders(second, RANGE, 1)).toEqual([['d', 14]]);
      await gate.query('ROLLBACK');
      gate.release();
      // The correction waits: nothing is added to the totals while a board is made.
      expect(await first).toEqual([
        ['d', 14],
        ['z', 10],
      ]);
      expect(await boardsOf(service)).toEqual([{ users: ['z', 'b'], credits: [10, 7] }]);
      await sweep(second);
      expect(await leaders(second, RANGE, 2)).toEqual([
        ['d', 14],
        ['z', 10],
      ]);
    }));

  it('is made once by many questions at the same time, and all are answered', () =>
    with2Users(async () => {
      const asked = Array.from({ length: 24 }, (_, index) =>
        leaders(index % 2 === 0 ? service : second, RANGE, 2),
      );
      for (const answer of await Promise.all(asked)) expect(answer).toEqual(CREDITS.slice(0, 2));
      expect(await boardsOf(service)).toHaveLength(1);
    }));

  it('notes the first question of a day, and is dropped when nobody has asked for three', () =>
    with2Users(async () => {
      await leaders(service, RANGE, 2);
      await falsify();
      const age = (days: number) =>
        service.owner.query(
          `UPDATE usage_boards SET asked_on = (now() AT TIME ZONE 'UTC')::date - $1::integer`,
          [days],
        );
      await age(3);
      await sweep(second);
      expect(await leaders(second, RANGE, 1)).toEqual([['z', 999]]);
      const { rows } = await service.owner.query(
        `SELECT asked_on = (now() AT TIME ZONE 'UTC')::date AS "isNoted" FROM usage_boards`,
      );
      expect(rows).toEqual([{ isNoted: true }]);
      await age(4);
      await sweep(second);
      expect(await boardsOf(service)).toEqual([]);
    }));

  it('is one of fifty at most: the one that was asked for longest ago makes room', () =>
    with2Users(async () => {
      await leaders(service, RANGE, 2);
      await service.owner.query('UPDATE usage_boards SET asked_on = asked_on - 1');
      for (let days = 0; days < 52; days++) {
        await leaders(service, { startDate: dayText(10 + days), endDate: dayText(5) }, 2);
        if (days === 48) expect(await leaders(service, RANGE, 1)).toHaveLength(1);
      }
      const { rows } = await service.owner.query<{ count: number; kept: boolean }>(
        `SELECT count(*)::integer, bool_or(from_day = $1) AS kept FROM usage_boards`,
        [dayText(61)],
      );
      expect(rows).toEqual([{ count: 50, kept: true }]);
    }));

  it('is told by a replica, which can make none and note nothing', () =>
    with2Users(async () => {
      const replica = new pg.Client({
        connectionString: service.databaseUrl,
        options: '-c default_transaction_read_only=on',
      });
      await replica.connect();
      const call = async (name: string) => {
        const { rows } = await replica.query<{ leaders: unknown }>(
          `SELECT ${name}(NULL, NULL, $1::date, $2::date, 1) AS leaders`,
          [RANGE.startDate, dayText(4)],
        );
        return rows[0]?.leaders;
      };
      expect([await call('usage_leaders'), await call('usage_board')]).toEqual([null, null]);
      await leaders(service, RANGE, 2);
      await service.owner.query('UPDATE usage_boards SET asked_on = asked_on - 2');
      expect([await call('usage_leaders'), await call('usage_board')]).toEqual([[['z', 10]], null]);
      await replica.end();
    }));

  it('is dropped rather than kept right when more than a thousand users have changed', () =>
    with2Users(async () => {
      await leaders(service, RANGE, 2);
      await leaders(service, { startDate: dayText(12), endDate: dayText(7) }, 2);
      const many = `SELECT count(write_usage(jsonb_populate_record(NULL::usage_records, jsonb_build_object(
          'account_id', 'many-' || n, 'timestamp', $1::timestamptz, 'service', 's', 'operation', 'o', 'credits', 20,
          'metadata', '{}'::jsonb, 'billing_status', 'recorded')))) FROM generate_series(1, 1001) n`;
      await service.owner.query(
        `INSERT INTO credit_balances (account_id) SELECT 'many-' || n FROM generate_series(1, 1001) n`,
      );
      await service.owner.query(many, [noon(6)]);
      expect((await leaders(second, RANGE, 1000)).length).toBe(1000);
      await sweep(second);
      expect(await boardsOf(service)).toHaveLength(1);
      expect(await leaders(second, RANGE, 2)).toEqual(await addedUp(service, RANGE, 2));
    }));
});

describe('questions while records of closed days arrive and are added to the totals, on two instances', () => {
  it('count each record that was there and none that was not', async () => {
    const service = await withBoards(6);
    const second = await service.another();
    const USERS = Array.from({ length: 12 }, (_, index) => `u${index}`);
    const RANGE: Range = { startDate: dayText(9), endDate: dayText(5) };
    for (const userId of USERS) await record(service, userId, 1, 7);
    await sweep(service);
    let begun = USERS.length;
    let written = USERS.length;
    let isLoaded = true;
    const writers = USERS.map(async (userId, index) => {
      const instance = index % 2 === 0 ? service : second;
      for (let round = 0; round < 16; round++) {
        begun++;
        await record(instance, userId, 1, 5 + ((index + round) % 5));
        written++;
      }
    });
    const sweepers = [service, second].map(async (instance) => {
      while (isLoaded) await sweep(instance);
    });
    let answers = 0;
    const askers = [service, second, service].map(async (instance) => {
      while (isLoaded) {
        const before = written;
        const counts = (await leaders(instance, RANGE, 1000)).map(([, credits]) => credits);
        const counted = counts.reduce((sum, credits) => sum + credits, 0);
        expect(counted).toBeGreaterThanOrEqual(before);
        expect(counted).toBeLessThanOrEqual(begun);
        const most = (await leaders(instance, RANGE, 3)).map(([, credits]) => credits);
        expect(Math.max(...most)).toBeGreaterThanOrEqual(before / USERS.length);
        answers++;
      }
    });
    await Promise.all(writers).finally(() => (isLoaded = false));
    await Promise.all([...sweepers, ...askers]);
    expect(answers).toBeGreaterThan(3);
    await sweep(service);
    for (const top of [3, 6, 1000]) {
      expect(await leaders(second, RANGE, top)).toEqual(await addedUp(service, RANGE, top));
    }
    await second.close();
    await service.close();
  });
});
