import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordUsage, WRITE_USAGE } from '../support/sql.js';
import { UsageTotalsSweeper } from '../../src/usage/usage-totals.sweeper.js';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import type { HttpClient } from '../support/http-client.js';
import { endLeases, initialize, SONNET, userWithCredits } from '../support/money.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { byName, type Fact, inRange, isoTime, readFacts, statisticsOf } from '../support/usage-model.js';

const RECORDS = 2400;
const REPLACED = 250;
const RANGES = 60;
const MILLISECONDS_PER_DAY = 86_400_000;
const MICROSECONDS_PER_DAY = BigInt(MILLISECONDS_PER_DAY) * 1000n;
/** Five weeks, in which clocks change in many places of the world. */
const FIRST_DAY = Date.parse('2025-03-10T00:00:00Z');
const DAYS = 35;

const USERS = ['alice', 'bob', '__proto__', '42', 'Zoë 😀', 'o’hara/team:1'];
const SERVICES = ['chat', 'chat-streaming', 'chat-streaming-failed', '__proto__', 'constructor', '😀 "é", x'];
/** More than are named in `byDayAndModel`; those further back are used less. */
const OPERATIONS = [
  ...['model-a', 'vendor/model:1', '__proto__', 'toString', '7', 'other'],
  ...Array.from({ length: 22 }, (_, index) => `rare-${index}`),
];

type Names = Record<string, number>;
interface UserStats {
  userId: string;
  totalRecords: number;
  totalCredits: number;
  collectedCredits: number;
  uncollectedCredits: number;
  recordedCredits: number;
  byService: Names;
  byDay: Names;
  byModel: Names;
  byDayAndModel: Record<string, Names>;
  truncated: string[];
  recentActivity: { id: number; userId: string; timestamp: string }[];
}
type SystemStats = Omit<UserStats, 'userId' | 'recentActivity'> & {
  byUser: Names;
  byUserAsOf: string | null;
  providerCostUsd: string | null;
  unpricedRecords: number;
  needsReview: number;
  needsReviewCredits: number;
  unpricedModels: object[];
  marginByModel: Record<string, object>;
  marginByOperation: Record<string, object>;
  marginByDay: Record<string, object>;
};

const random = new SeededRandom();
let service: TestService;
let facts: Fact[];

beforeAll(async () => {
  service = await startService();
  await service.owner.query(WRITE_USAGE);
  for (const userId of USERS) await service.as(userId).get('/api/credits/balance');
  await writeRecords();
  // Some days are closed when their records change, some are not.
  for (let day = 0; day < DAYS / 2; day++) await closeDay();
  await replaceSome();
  await recordOverHttp();
  await runSessions();
  facts = await readFacts(service.owner);
});
afterAll(async () => {
  await service.close();
});

/** Microseconds since 1970: anywhere in the weeks, but often within a hair of a day's beginning. */
function randomInstant(): bigint {
  const day = BigInt(FIRST_DAY + random.integer(0, DAYS) * MILLISECONDS_PER_DAY) * 1000n;
  if (random.chance(0.5)) return day + random.big(0n, MICROSECONDS_PER_DAY - 1n);
  return day + random.pick([0n, 0n, 1n, -1n, 999n, 1000n, -999n, -1000n, -1001n, random.big(-9999n, 9999n)]);
}

function randomRecord() {
  return {
    account_id: random.pick(USERS),
    at: isoTime(randomInstant()),
    service: random.pick(SERVICES),
    operation: random.pick(OPERATIONS.slice(0, random.chance(0.5) ? 6 : undefined)),
    credits: random.chance(0.1) ? 0 : random.integer(1, random.pick([5, 1000, 1_000_000_000])),
    status: random.pick(['recorded', 'billed', 'needs_review', 'waived']),
    cost: random.chance(0.4) ? null : `${random.integer(0, 3)}.${random.big(0n, 10n ** 18n - 1n)}`,
    source: random.pick([null, 'rule', 'default', 'fallback']),
    uncollected: random.pick([0, 0, 1]),
  };
}

/** Through the product's own functions, which keep the roll-up, from sessions in another time zone. */
async function writeRecords(): Promise<void> {
  const records = JSON.stringify(Array.from({ length: RECORDS }, randomRecord));
  const from = `FROM json_to_recordset($1) AS r (account_id varchar, at timestamptz, service varchar, operation varchar,
                  credits bigint, status varchar, cost numeric, source varchar, uncollected bigint)`;
  await asNewYork((database) =>
    database.query(
      `SELECT count(write_usage(jsonb_populate_record(NULL::usage_records, jsonb_build_object(
          'account_id', account_id, 'timestamp', at, 'service', service, 'operation', operation, 'credits', credits,
          'metadata', '{}'::jsonb, 'billing_status', status, 'provider_cost_usd', cost, 'pricing_source', source,
          'uncollected_credits', CASE WHEN status IN ('needs_review', 'waived') THEN least(uncollected, credits) ELSE 0 END)))) ${from}`,
      [records],
    ),
  );
  const more = JSON.stringify(Array.from({ length: RECORDS / 4 }, randomRecord));
  await service.owner.query(
    `SELECT count(${recordUsage('account_id', 'at', 'service', 'operation', 'credits')}) ${from}`,
    [more],
  );
}

/** What a late finalize does to the record of a time-out: other service, credits and cost, and the same time. */
async function replaceSome(): Promise<void> {
  const { rows } = await service.owner.query<{ account_id: string; id: string }>(
    'SELECT account_id, id FROM usage_records ORDER BY id',
  );
  const replaced = JSON.stringify(
    Array.from({ length: REPLACED }, () => ({ ...randomRecord(), ...random.pick(rows) })),
  );
  await asNewYork((database) =>
    database.query(
      `DO $do$ DECLARE r record; u usage_records; BEGIN
         FOR r IN SELECT * FROM json_to_recordset('${replaced.replaceAll("'", "''")}') AS r (
                    account_id varchar, id bigint, service varchar, credits bigint, status varchar, cost numeric) LOOP
           SELECT * INTO u FROM usage_records WHERE account_id = r.account_id AND id = r.id;
           PERFORM replace_usage(jsonb_populate_record(u, jsonb_build_object(
             'service', r.service, 'credits', r.credits, 'metadata', '{}'::jsonb, 'billing_status', r.status,
             'uncollected_credits', 0, 'provider_cost_usd', r.cost)));
         END LOOP; END $do$`,
    ),
  );
}

/** What a sweeper does again and again; between two random ranges here, so that every state is asked. */
async function closeDay(): Promise<boolean> {
  const { rows } = await service.owner.query<{ done: boolean }>('SELECT usage_close_day() AS done');
  return (rows[0] as { done: boolean }).done;
}

async function asNewYork(work: (database: pg.Client) => Promise<unknown>): Promise<void> {
  const { options } = service.owner;
  // A pool hides its password from copies.
  const { password } = options as { password: string };
  const client = new pg.Client({ ...options, password, options: '-c timezone=America/New_York' });
  await client.connect();
  await work(client);
  await client.end();
}

async function recordOverHttp(): Promise<void> {
  for (let index = 0; index < 40; index++) {
    const { account_id, at, credits, operation, ...record } = randomRecord();
    const answer = await service.internal().post('/api/usage/record', {
      ...{ userId: account_id, service: record.service, operation, credits, timestamp: at },
    });
    expect(answer.status).toBe(201);
  }
}

/** Sessions of today: finalized, failed, aborted, timed out, and timed out but finalized late. */
async function runSessions(): Promise<void> {
  const user = await userWithCredits(service, 100_000);
  const settle = (sessionId: string, how: 'finalize' | 'abort', body: object) =>
    user.post(`/api/streaming-sessions/${how}`, { sessionId, ...body });
  for (let index = 0; index < 24; index++) {
    const sessionId = `s${index}`;
    const modelId = index % 3 === 0 ? 'unknown/model' : SONNET;
    expect((await initialize(user, sessionId, { modelId })).status).toBe(201);
    await user.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 100 + index });
  }
  for (const index of [0, 1, 2, 3]) {
    await settle(`s${index}`, 'finalize', { actualTokens: 900, providerCostUsd: '0.000000000000000001' });
  }
  for (const index of [4, 5]) await settle(`s${index}`, 'finalize', { actualTokens: 50, success: false });
  for (const index of [6, 7]) await settle(`s${index}`, 'abort', {});
  await service.owner.query(`UPDATE streaming_sessions SET expires_at = now() - interval '1 second'
                              WHERE status = 'active'`);
  expect(await service.get(StreamingSessionsSweeper).sweep()).toBe(16);
  for (let index = 8; index < 20; index++) {
    const late = await settle(`s${index}`, 'finalize', {
      actualTokens: random.integer(0, 5000),
      success: index % 2 === 0,
      providerCostUsd: index % 3 === 0 ? null : '1.5',
    });
    expect(late).toMatchObject({ status: 200, body: { late: true } });
  }
}

interface Range {
  startDate?: string;
  endDate?: string;
}

function queryOf(range: Range, more: Record<string, string> = {}): string {
  return `?${new URLSearchParams({ ...range, ...more }).toString()}`;
}

/** A day of the weeks, or a little outside. */
const randomDay = () => dayText(FIRST_DAY + random.integer(-3, DAYS + 3) * MILLISECONDS_PER_DAY);
const dayText = (time: number) => new Date(time).toISOString().slice(0, 10);

/** An instant, often that of a record or next to it, in some zone and some precision. */
function randomTime(): string {
  const { at } = random.pick(facts);
  const near = at + random.pick([0n, 0n, 1000n, -1000n, 1n, -1n]);
  const time = random.chance(0.6) ? near : randomInstant();
  const form = random.integer(0, 3);
  if (form === 0) return isoTime(time);
  if (form === 1) return new Date(Number(time / 1000n)).toISOString();
  const offset = random.pick([330, -300, 840, -720, 60, 345]);
  const local = new Date(Number(time / 1000n) + offset * 60_000).toISOString().slice(0, -1);
  const sign = offset < 0 ? '-' : '+';
  const hours = String(Math.floor(Math.abs(offset) / 60)).padStart(2, '0');
  const zone = `${sign}${hours}:${String(Math.abs(offset) % 60).padStart(2, '0')}`;
  return form === 2 ? local + zone : local.slice(0, 'YYYY-MM-DDTHH:MM'.length) + zone;
}

function ordered(a: string, b: string): Range {
  return Date.parse(a) <= Date.parse(b) ? { startDate: a, endDate: b } : { startDate: b, endDate: a };
}

function sameDay(): Range {
  const day = randomDay();
  const time = () =>
    `${day}T${new Date(random.integer(0, MILLISECONDS_PER_DAY - 1)).toISOString().slice(11)}`;
  return ordered(time(), time());
}

const RANGE_KINDS: (() => Range)[] = [
  () => ({}),
  () => ordered(randomDay(), randomDay()),
  () => ordered(randomTime(), randomTime()),
  () => ordered(randomTime(), randomTime()),
  () => ordered(randomDay(), randomTime()),
  () => {
    const day = randomDay();
    return { startDate: day, endDate: day };
  },
  sameDay,
  sameDay,
  () => ({ startDate: random.chance(0.5) ? randomDay() : randomTime() }),
  () => ({ endDate: random.chance(0.5) ? randomDay() : randomTime() }),
  () => {
    const time = randomTime();
    return { startDate: time, endDate: time };
  },
  () => ordered(randomTime(), dayText(Date.now())),
  () => ordered('1970-01-01', random.pick(['1999-12-31', '1970-01-01T00:00:00+00:00', randomDay()])),
  () => ordered(random.pick(['2090-01-01', '9999-12-31', randomTime()]), '9999-12-31'),
  () => ordered(randomDay(), random.pick(['9999-12-31T23:59:59.999Z', '2400-02-29'])),
];

function expectSystem(actual: SystemStats, range: Fact[], top: number, message: string): void {
  const { byUser, recent: _, ...expected } = statisticsOf(range);
  const largest = byUser.map(([, credits]) => credits).sort((a, b) => b - a);
  const { byUser: actualTop, byService, byDay, byModel, byDayAndModel, ...others } = actual;
  const { marginByModel, marginByOperation, marginByDay, ...rest } = others;
  // Tested with charges, which make them.
  const { unpricedModels: _models, needsReviewCredits: _credits, byUserAsOf, ...numbers } = rest;
  // There are few records: never out of a list.
  expect(Date.now() - Date.parse(byUserAsOf ?? ''), message).toBeLessThan(60_000);
  expect(
    {
      ...numbers,
      byService: entries(byService),
      byDay: entries(byDay),
      byModel: entries(byModel),
      byDayAndModel: entriesByDay(byDayAndModel),
      marginByModel: byName(Object.entries(marginByModel)),
      marginByOperation: byName(Object.entries(marginByOperation)),
      marginByDay: byName(Object.entries(marginByDay)),
    },
    message,
  ).toEqual({
    ...expected,
    truncated: [
      ...expected.truncated,
      ...(largest.slice(top).some((credits) => credits > 0) ? ['byUser'] : []),
    ],
  });
  const named = Object.entries(actualTop);
  // Of users with equal credits it does not matter who is named.
  expect(
    named.map(([, credits]) => credits).sort((a, b) => b - a),
    message,
  ).toEqual(largest.slice(0, top));
  for (const user of named) expect(byUser, message).toContainEqual(user);
}

function expectUser(actual: UserStats, userId: string, range: Fact[], message: string): void {
  const expected = statisticsOf(range.filter((fact) => fact.userId === userId));
  expect(
    {
      userId: actual.userId,
      totalRecords: actual.totalRecords,
      totalCredits: actual.totalCredits,
      collectedCredits: actual.collectedCredits,
      uncollectedCredits: actual.uncollectedCredits,
      recordedCredits: actual.recordedCredits,
      byService: entries(actual.byService),
      byDay: entries(actual.byDay),
      byModel: entries(actual.byModel),
      byDayAndModel: entriesByDay(actual.byDayAndModel),
      truncated: actual.truncated,
      recent: actual.recentActivity.map(({ id }) => id),
    },
    message,
  ).toEqual({
    userId,
    totalRecords: expected.totalRecords,
    totalCredits: expected.totalCredits,
    collectedCredits: expected.collectedCredits,
    uncollectedCredits: expected.uncollectedCredits,
    recordedCredits: expected.recordedCredits,
    byService: expected.byService,
    byDay: expected.byDay,
    byModel: expected.byModel,
    byDayAndModel: expected.byDayAndModel,
    truncated: expected.truncated.filter((name) => name in actual),
    recent: expected.recent,
  });
}

const entries = (names: Names) => byName(Object.entries(names));
const entriesByDay = (days: Record<string, Names>) =>
  byName(Object.entries(days).map(([day, models]) => [day, entries(models)]));

describe('GET /usage/stats, /usage/stats/:userId and /usage/system-stats', () => {
  it(`say what adding up the records one by one says, for ${RANGES} random ranges`, async () => {
    const everyone = [...new Set(facts.map(({ userId }) => userId))];
    for (let index = 0; index < RANGES; index++) {
      if (index % 8 === 7) await closeDay();
      const range = (RANGE_KINDS[index % RANGE_KINDS.length] as () => Range)();
      const message = `TEST_SEED=${random.seed}, range ${index}: ${JSON.stringify(range)}`;
      const within = inRange(facts, range.startDate, range.endDate);
      const top = random.pick([1, 3, 1000]);
      const system = await service
        .as('root', { role: 'admin' })
        .get<SystemStats>(`/api/usage/system-stats${queryOf(range, { top: String(top) })}`);
      expect(system.status, message).toBe(200);
      expectSystem(system.body, within, top, message);
      const userId = random.pick(everyone);
      const [caller, path] = random.chance(0.5)
        ? [service.as('boss', { role: 'supervisor' }), `stats/${encodeURIComponent(userId)}`]
        : [service.as(userId), 'stats'];
      const user = await caller.get<UserStats>(`/api/usage/${path}${queryOf(range)}`);
      expect(user.status, message).toBe(200);
      expectUser(user.body, userId, within, message);
    }
  });

  it('were compared while days were being closed, until all were', async () => {
    while (await closeDay());
    const { rows } = await service.owner.query(
      `SELECT closed_until = (now() AT TIME ZONE 'UTC')::date - 2 AS "isClosed",
              (SELECT count(DISTINCT day) > ${DAYS - 5} FROM usage_totals) AS "hasDays",
              (SELECT count(*)::integer FROM usage_corrections) AS corrections FROM usage_closing`,
    );
    expect(rows).toEqual([{ isClosed: true, hasDays: true, corrections: 0 }]);
    const { body } = await service
      .as('root', { role: 'admin' })
      .get<SystemStats>('/api/usage/system-stats?top=1000');
    expectSystem(body, facts, 1000, 'all days closed');
  });

  it('were compared on data with late finalizes, unknown costs and days that begin to the microsecond', async () => {
    expect(facts.length).toBeGreaterThan(RECORDS);
    expect(facts.some(({ at }) => at % MICROSECONDS_PER_DAY === 0n)).toBe(true);
    // So many that some are not named in byDayAndModel, over all and for a user.
    for (const chosen of [facts, facts.filter(({ userId }) => userId === 'alice')])
      expect(statisticsOf(chosen).byModel.length).toBeGreaterThan(21);
    expect(facts.some(({ at }) => at % MICROSECONDS_PER_DAY === MICROSECONDS_PER_DAY - 1n)).toBe(true);
    const { rows } = await service.owner.query<{ timed_out: string; late: string }>(
      `SELECT (SELECT count(*) FROM streaming_sessions WHERE end_reason = 'timeout') AS timed_out,
              (SELECT count(*) FROM streaming_sessions WHERE is_late) AS late`,
    );
    expect(rows[0]).toMatchObject({ timed_out: '4', late: '12' });
  });
});

describe('days that are over', () => {
  it('count every record once that arrives while they are closed, on two instances', async () => {
    const other = await startService();
    const second = await other.another();
    const user = other.as();
    await user.get('/api/credits/balance');
    const days = Array.from({ length: 20 }, (_, day) => dayText(FIRST_DAY + day * MILLISECONDS_PER_DAY));
    const record = (day: string) =>
      other.internal().post('/api/usage/record', {
        userId: user.userId,
        service: 'chat',
        operation: 'm',
        credits: 3,
        timestamp: `${day}T12:00:00Z`,
      });
    for (const day of days) expect((await record(day)).status).toBe(201);
    let isLoaded = true;
    const sweepers = [other, second].map(async (instance) => {
      while (isLoaded) await instance.get(UsageTotalsSweeper).sweep();
    });
    for (let round = 0; round < 10; round++) await Promise.all(days.map(record));
    isLoaded = false;
    await Promise.all(sweepers);
    const ask = async () =>
      (await other.as('root', { role: 'admin' }).get<SystemStats>('/api/usage/system-stats?top=0')).body;
    const expected = {
      totalRecords: 220,
      totalCredits: 660,
      byUser: {},
      byDay: Object.fromEntries(days.map((day) => [day, 33])),
    };
    expect(await ask()).toMatchObject(expected);
    await second.get(UsageTotalsSweeper).sweep();
    expect(await ask()).toMatchObject(expected);
    const { rows } = await other.owner.query(
      'SELECT day::text, credits::integer FROM usage_totals ORDER BY 1',
    );
    expect(rows).toEqual(days.map((day) => ({ day, credits: 33 })));
    await second.close();
    await other.close();
  });
});

describe('the ends of a range', () => {
  let user: HttpClient;
  /** The first and last microsecond of 5 May, and the nearest of the days beside it. */
  const INSTANTS = [
    '2025-05-04T23:59:59.999999Z',
    '2025-05-05T00:00:00.000000Z',
    '2025-05-05T12:00:00.000999Z',
    '2025-05-05T12:00:00.001000Z',
    '2025-05-05T23:59:59.999999Z',
    '2025-05-06T00:00:00.000000Z',
  ];

  beforeAll(async () => {
    user = service.as();
    await user.get('/api/credits/balance');
    for (const [index, timestamp] of INSTANTS.entries()) {
      const { userId } = user;
      const record = { userId, service: 'chat', operation: 'm', credits: 10 ** index, timestamp };
      expect((await service.internal().post('/api/usage/record', record)).status).toBe(201);
    }
  });

  it.each<[what: string, range: Range, totalCredits: number]>([
    ['a day is whole', { startDate: '2025-05-05', endDate: '2025-05-05' }, 11110],
    ['a day ends before the next one', { endDate: '2025-05-04' }, 1],
    ['a day begins at its first microsecond', { startDate: '2025-05-06' }, 100000],
    [
      'an instant is its whole millisecond',
      { startDate: '2025-05-05T12:00:00Z', endDate: '2025-05-05T12:00:00.000Z' },
      100,
    ],
    [
      'the next millisecond is another',
      { startDate: '2025-05-05T12:00:00.001Z', endDate: '2025-05-05T12:00:00.001Z' },
      1000,
    ],
    [
      'an instant is the same in every zone',
      { startDate: '2025-05-05T17:30:00.001+05:30', endDate: '2025-05-05T23:59:59.999Z' },
      11000,
    ],
    [
      'a range over a day’s end with no whole day in it',
      { startDate: '2025-05-05T23:00:00Z', endDate: '2025-05-06T01:00:00Z' },
      110000,
    ],
    [
      'a range that ends with a day’s first millisecond',
      { startDate: '2025-05-05', endDate: '2025-05-06T00:00:00Z' },
      111110,
    ],
    ['both open', {}, 111111],
    ['the year 9999 lies after everything', { startDate: '2025-05-05', endDate: '9999-12-31' }, 111110],
    ['the last instant of all', { startDate: '9999-12-31T23:59:59.999Z', endDate: '9999-12-31' }, 0],
    ['the first instant of all', { startDate: '1970-01-01', endDate: '1970-01-01T00:00:00Z' }, 0],
  ])('%s', async (_, range, totalCredits) => {
    const answer = await user.get<UserStats>(`/api/usage/stats${queryOf(range)}`);
    expect(answer.status).toBe(200);
    expect(answer.body.totalCredits).toBe(totalCredits);
    const records = await user.get<{ items: unknown[] }>(`/api/usage/records${queryOf(range)}`);
    expect(records.body.items).toHaveLength(answer.body.totalRecords);
  });

  it.each<[startDate: string, endDate: string]>([
    ['2025-05-06', '2025-05-05'],
    ['2025-06-01', '2025-05-05'],
    ['2025-05-05T12:00:00.001Z', '2025-05-05T12:00:00.000Z'],
    ['2025-05-06T00:00:00Z', '2025-05-05'],
    ['2025-05-05T00:00:00+05:30', '2025-05-04T18:00:00Z'],
    ['9999-12-31', '1970-01-01'],
  ])('400 when the end lies before the start: %s to %s', async (startDate, endDate) => {
    const root = service.as('root', { role: 'admin' });
    for (const path of ['stats', 'stats/alice', 'system-stats', 'records', 'records/user/alice', 'classes']) {
      const answer = await root.get(`/api/usage/${path}${queryOf({ startDate, endDate })}`);
      expect(answer.status, path).toBe(400);
      expect(answer.body.errors).toEqual([expect.objectContaining({ field: 'endDate' })]);
    }
  });

  it.each(['2025-02-30', 'yesterday', '2025-05-05T25:00:00', '12-05-2025', ' ', '10000-01-01', '1969-12-31'])(
    '400 for %j, which is no time of the contract',
    async (time) => {
      for (const field of ['startDate', 'endDate']) {
        const answer = await user.get(`/api/usage/stats${queryOf({ [field]: time })}`);
        expect(answer.status).toBe(400);
        expect(answer.body.errors).toEqual([expect.objectContaining({ field })]);
      }
    },
  );
});

describe('the answer', () => {
  it('names services and models as they were recorded, whatever JavaScript makes of the name', async () => {
    const user = service.as();
    const names = ['__proto__', 'constructor', 'hasOwnProperty', '😀', '7', 'a"b', 'chat'];
    for (const name of names) {
      await user.post('/api/usage/record', { service: name, operation: 'x', credits: 3 });
      await user.post('/api/usage/record', { service: 'chat', operation: name, credits: 2 });
    }
    const { text, body } = await user.get<UserStats>('/api/usage/stats');
    expect(text).toContain('"__proto__":3');
    expect(Object.entries(body.byService).sort()).toEqual(
      names.map((name) => [name, name === 'chat' ? 17 : 3]).sort(),
    );
    expect(Object.entries(body.byModel).sort()).toEqual([...names.map((name) => [name, 2]), ['x', 3]].sort());
  });

  it('counts a chat under its model whatever its outcome, in all and by day', async () => {
    const user = service.as();
    const services = [
      'chat',
      'chat-streaming',
      'chat-streaming-failed',
      'chat-streaming-timeout',
      'Chat',
      'x',
    ];
    for (const [index, name] of services.entries()) {
      await user.post('/api/usage/record', { service: name, operation: `m${index}`, credits: 5 });
    }
    const { body } = await user.get<UserStats>('/api/usage/stats');
    expect(body.byModel).toEqual({ m0: 5, m1: 5, m2: 5, m3: 5 });
    expect(Object.values(body.byDayAndModel)).toEqual([body.byModel]);
  });

  it('ends with the last 10 records of the range, newest first', async () => {
    const user = service.as();
    await user.get('/api/credits/balance');
    const minutes = [5, 3, 9, 0, 7, 7, 1, 12, 4, 8, 2, 11, 6, 10];
    for (const minute of minutes) {
      const timestamp = `2025-06-01T10:${String(minute).padStart(2, '0')}:00Z`;
      await service.internal().post('/api/usage/record', {
        userId: user.userId,
        service: 'chat',
        operation: `m${minute}`,
        credits: 1,
        timestamp,
      });
    }
    const answer = await user.get<UserStats>('/api/usage/stats?endDate=2025-06-01T10:11:00Z');
    const recent = answer.body.recentActivity;
    expect(recent.map(({ timestamp }) => Number(timestamp.slice(14, 16)))).toEqual([
      11, 10, 9, 8, 7, 7, 6, 5, 4, 3,
    ]);
    const [earlier, later] = recent.slice(4, 6).map(({ id }) => id);
    expect(earlier).toBeGreaterThan(later as number);
    // The same record looks the same wherever it is listed.
    const records = await user.get<{ items: unknown[] }>('/api/usage/records?limit=1&operation=m11');
    expect(recent[0]).toEqual(records.body.items[0]);
  });

  it('names the ?top= users with the most credits', async () => {
    const root = service.as('root', { role: 'admin' });
    const users = Array.from({ length: 5 }, () => service.as());
    for (const [index, user] of users.entries()) {
      await user.get('/api/credits/balance');
      const record = { service: 'x', operation: 'y', credits: index, timestamp: '2025-07-01T00:00:00Z' };
      await service.internal().post('/api/usage/record', { userId: user.userId, ...record });
    }
    const day = { startDate: '2025-07-01', endDate: '2025-07-01' };
    const stats = async (count: string) =>
      (await root.get<SystemStats>(`/api/usage/system-stats${queryOf(day, { top: count })}`)).body;
    const top = async (count: string) => (await stats(count)).byUser;
    const idOf = (index: number) => (users[index] as HttpClient).userId;
    expect(await top('2')).toEqual({ [idOf(4)]: 4, [idOf(3)]: 3 });
    expect(Object.keys(await top('1000'))).toHaveLength(5);
    expect(await top('0')).toEqual({});
    for (const [count, truncated] of [
      ['0', ['byUser']],
      ['3', ['byUser']],
      ['5', []],
      ['100', []],
    ] as const)
      expect((await stats(count)).truncated, count).toEqual(truncated);
    for (const bad of ['1001', '-1', '1.5', 'all']) {
      expect((await root.get(`/api/usage/system-stats?top=${bad}`)).status, bad).toBe(400);
    }
  });

  it('is all zeros for a user without records, and null for a cost that is unknown', async () => {
    const answer = await service.as().get<UserStats>('/api/usage/stats');
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ totalRecords: 0, totalCredits: 0, recentActivity: [] });
    expect(answer.body).toMatchObject({ byService: {}, byDay: {}, byModel: {} });
    const root = service.as('root', { role: 'admin' });
    const system = await root.get<SystemStats>('/api/usage/system-stats?endDate=2001-01-01');
    expect(system.body).toMatchObject({
      totalRecords: 0,
      totalCredits: 0,
      byUser: {},
      providerCostUsd: null,
    });
  });

  it('404 for a user never seen, asked by a supervisor', async () => {
    const boss = service.as('boss', { role: 'supervisor' });
    const answer = await boss.get(`/api/usage/stats/${freshUser('unknown')}`);
    expect(answer).toMatchObject({ status: 404, body: { code: 'account.not_found' } });
  });

  it('403 for users who ask for others, and for supervisors who ask for everyone', async () => {
    expect((await service.as().get('/api/usage/stats/alice')).status).toBe(403);
    expect((await service.as().get('/api/usage/system-stats')).status).toBe(403);
    expect((await service.as('boss', { role: 'supervisor' }).get('/api/usage/system-stats')).status).toBe(
      403,
    );
  });
});

it('say the least that it can be for a sum that JSON numbers cannot say exactly, and name it', async () => {
  const big = await startService();
  await big.owner.query(WRITE_USAGE);
  const user = big.as();
  const admin = big.as(user.userId, { role: 'admin' });
  await user.get('/api/credits/balance');
  const record = (count: number, credits: number) =>
    big.owner.query(
      `SELECT count(write_usage(jsonb_populate_record(NULL::usage_records, jsonb_build_object(
          'account_id', $1::text, 'timestamp', '2025-01-01T00:00:00Z', 'service', 's', 'operation', 'o',
          'credits', $3::bigint, 'metadata', '{}'::jsonb, 'billing_status', 'recorded'))))
         FROM generate_series(1, $2::integer)`,
      [user.userId, count, credits],
    );
  const stats = async (query = '') => [
    await user.get<UserStats>(`/api/usage/stats${query}`),
    await admin.get<UserStats>(`/api/usage/system-stats${query}`),
  ];
  await record(9007, 1e12);
  await record(1, 199_254_740_991);
  for (const { status, body } of await stats()) {
    expect(status).toBe(200);
    expect(body).toMatchObject({
      totalCredits: Number.MAX_SAFE_INTEGER,
      byService: { s: Number.MAX_SAFE_INTEGER },
      truncated: [],
    });
  }
  await record(20, 1e12);
  const [own, all] = await stats();
  for (const answer of [own, all]) {
    expect(answer?.status).toBe(200);
    expect(answer?.body).toMatchObject({
      totalRecords: 9028,
      totalCredits: Number.MAX_SAFE_INTEGER,
      byDay: { '2025-01-01': Number.MAX_SAFE_INTEGER },
      truncated: expect.arrayContaining(['totalCredits', 'byService', 'byDay']) as string[],
    });
  }
  expect(all?.body).toMatchObject({
    byUser: { [user.userId]: Number.MAX_SAFE_INTEGER },
    truncated: expect.arrayContaining(['byUser', 'marginByDay']) as string[],
  });
  for (const { status } of await stats('?startDate=2025-01-02')) expect(status).toBe(200);
  await big.close();
});

describe('of a user with more names than an answer has room for', () => {
  const NAMES = 300;
  const DAYS_BACK = 400;
  let user: HttpClient;
  let root: HttpClient;
  let many: TestService;
  beforeAll(async () => {
    many = await startService();
    user = many.as();
    root = many.as('root', { role: 'admin' });
    await user.get('/api/credits/balance');
    // Names of the greatest length, each with as many credits as its number; one is really called `other`.
    await many.owner.query(
      `SELECT count(${recordUsage('$1::text', `'2025-01-01'`, `left(name || repeat('é', 50), 50)`, `left(name || repeat('é', 100), 100)`, 'n')}),
              count(${recordUsage('$1::text', `'2025-01-01'`, `'chat'`, 'name', 'n')})
         FROM generate_series(1, $2) n, LATERAL (SELECT CASE n WHEN $2 THEN 'other' ELSE 'n' || n END AS name) x`,
      [user.userId, NAMES],
    );
    await many.owner.query(
      `SELECT count(${recordUsage('$1::text', `'2025-01-02'::date + n`, `'days'`, `'day'`, '1')}),
              count(${recordUsage('$1::text', `'2025-01-02'::date + n`, `'chat'`, `'day'`, '1')})
         FROM generate_series(1, $2) n`,
      [user.userId, DAYS_BACK],
    );
  });
  afterAll(() => many.close());

  it('the largest are named, the rest is `other`, and the answer says so', async () => {
    const { body, text } = await user.get<UserStats>('/api/usage/stats');
    for (const map of [body.byService, body.byModel, body.byDay])
      expect(Object.values(map).reduce((sum, credits) => sum + credits, 0)).toBe(
        map === body.byModel ? body.byService.chat : body.totalCredits,
      );
    expect(Object.keys(body.byService)).toHaveLength(201);
    expect(body.byModel).toMatchObject({ n299: 299, n101: 101 });
    // From n1 to n99 or n100, and what is really called so: the days have the most credits of all.
    expect(body.byModel.other).toBe((100 * 101) / 2 + NAMES);
    expect(Object.keys(body.byDay)).toHaveLength(367);
    expect(Object.keys(body.byDay).sort()[0]).toBe('2025-02-06');
    expect(Object.keys(body.byDayAndModel)).toHaveLength(367);
    expect(body.truncated).toEqual(['byService', 'byDay', 'byModel', 'byDayAndModel']);
    expect(text.length).toBeLessThan(200_000);
  });

  it('so is everyone, whether days are closed or not', async () => {
    const open = await root.get<SystemStats>('/api/usage/system-stats');
    expect(open.body.truncated).toEqual([
      ...[
        'byService',
        'byDay',
        'byModel',
        'byDayAndModel',
        'marginByModel',
        'marginByOperation',
        'marginByDay',
      ],
    ]);
    expect(Object.keys(open.body.marginByModel)).toHaveLength(201);
    expect(Object.keys(open.body.marginByDay)).toHaveLength(367);
    expect(open.text.length).toBeLessThan(400_000);
    await many.get(UsageTotalsSweeper).sweep();
    const { body } = await root.get<SystemStats>('/api/usage/system-stats');
    expect({ ...body, byUserAsOf: null }).toEqual({ ...open.body, byUserAsOf: null });
  });

  it('a range in which all have room is whole', async () => {
    const { body } = await user.get<UserStats>('/api/usage/stats?startDate=2025-01-03&endDate=2025-02-01');
    expect(body.truncated).toEqual([]);
    expect(body.byService).toEqual({ days: 30, chat: 30 });
  });

  it('so is one with a service and a model that are really called `other`', async () => {
    for (const [name, credits] of [
      ['other', 2],
      ['chat', 3],
    ] as const) {
      const record = { service: name, operation: 'other', credits, timestamp: '2026-11-01T12:00:00Z' };
      expect(
        (await many.internal().post('/api/usage/record', { ...record, userId: user.userId })).status,
      ).toBe(201);
    }
    const day = '?startDate=2026-11-01&endDate=2026-11-01';
    const expected = {
      truncated: [],
      byService: { other: 2, chat: 3 },
      byModel: { other: 3 },
      byDayAndModel: { '2026-11-01': { other: 3 } },
    };
    expect((await user.get(`/api/usage/stats${day}`)).body).toMatchObject(expected);
    expect((await root.get(`/api/usage/system-stats${day}`)).body).toMatchObject(expected);
  });
});

describe('of a user with more than 1,000 names in a day', () => {
  const NAMES = 1000;
  const DAY = '2025-06-01';
  const rollUp = async (userId: string) =>
    (
      await service.owner.query<{ service: string; operation: string; records: number; credits: number }>(
        `SELECT service, operation, records::integer, credits::integer FROM usage_daily
          WHERE account_id = $1 AND operation NOT LIKE 'n%' ORDER BY service COLLATE "C", operation COLLATE "C"`,
        [userId],
      )
    ).rows;
  /** Names that the day has room for: all but `left` of them. */
  async function fill(user: HttpClient, left = 0, day = `'${DAY}'`): Promise<void> {
    await service.owner.query(
      `SELECT count(${recordUsage('$1::text', `${day}::timestamptz`, `'s'`, `'n' || n`, '1')})
         FROM generate_series(1, $2::integer) n`,
      [user.userId, NAMES - left],
    );
  }
  /** Of the service: other users here have records that no ledger knows. */
  async function expectSoundRollUp({ userId }: HttpClient): Promise<void> {
    const audit = await service
      .as('root', { role: 'admin' })
      .get<{ differences: { userId: string }[] }>('/api/credits/audit');
    expect(audit.body.differences.filter((difference) => difference.userId === userId)).toEqual([]);
  }
  const record = (user: HttpClient, name: string, operation: string) =>
    service.internal().post('/api/usage/record', {
      userId: user.userId,
      service: name,
      operation,
      credits: 10,
      timestamp: `${DAY}T12:00:00Z`,
    });

  it('further ones are counted as other, chats as chats, and each record keeps its own names', async () => {
    const user = service.as();
    await user.get('/api/credits/balance');
    await fill(user, 1);
    for (const [name, operation] of [
      ...[
        ['s', 'other'],
        ['new', 'one'],
        ['new', 'two'],
        ['chat', 'model'],
        ['chat-streaming-failed', 'model'],
        ['chat-streaming-anything', 'model'],
        ['s', 'n1'],
        ['other', 'other'],
      ],
    ] as [string, string][])
      expect((await record(user, name, operation)).body).toMatchObject({ service: name, operation });
    expect(await rollUp(user.userId)).toEqual([
      { service: '', operation: '', records: 4, credits: 40 },
      { service: 'chat', operation: '', records: 1, credits: 10 },
      { service: 'chat-streaming-failed', operation: '', records: 1, credits: 10 },
      { service: 's', operation: 'other', records: 1, credits: 10 },
    ]);
    const whole = (await user.get<UserStats>('/api/usage/stats')).body;
    expect(whole).toMatchObject({
      byService: { chat: 10, 'chat-streaming-failed': 10, other: 40, s: NAMES - 1 + 20 },
      byModel: { other: 20 },
      byDayAndModel: { [DAY]: { other: 20 } },
    });
    expect(whole.truncated).toEqual(['byService', 'byModel', 'byDayAndModel']);
    // A broken day is added up from the records, and says the same.
    const broken = `?startDate=${DAY}T00:00:00Z&endDate=${DAY}T23:00:00Z`;
    expect((await user.get<UserStats>(`/api/usage/stats${broken}`)).body).toEqual(whole);
    await expectSoundRollUp(user);
  });

  it('a review and a late finalize are taken from where their record was counted', async () => {
    const user = await userWithCredits(service, 100);
    await fill(user, 0, 'now()');
    const charge = { requestId: 'r', modelId: 'other', tokens: 5000, billingStatus: 'needs_review' };
    expect((await user.post('/api/usage/charge', charge)).status).toBe(201);
    expect((await initialize(user, 'late')).status).toBe(201);
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    const late = await user.post('/api/streaming-sessions/finalize', { sessionId: 'late', actualTokens: 10 });
    expect(late.status).toBe(200);
    const { rows } = await service.owner.query<{ id: string; credits: string }>(
      `SELECT id, credits FROM usage_records WHERE account_id = $1 AND request_id = 'r'`,
      [user.userId],
    );
    const review = { action: 'bill', credits: 7, version: 1 };
    const root = service.as('root', { role: 'admin' });
    expect((await root.post(`/api/usage/records/${rows[0]?.id}/review`, review)).status).toBe(200);
    // Nothing is left of the time-out, whose service was another.
    expect(await rollUp(user.userId)).toEqual([
      { service: 'chat', operation: '', records: 1, credits: 7 },
      { service: 'chat-streaming', operation: '', records: 1, credits: 1 },
      { service: 'chat-streaming-timeout', operation: '', records: 0, credits: 0 },
    ]);
    await expectSoundRollUp(user);
  });
});
