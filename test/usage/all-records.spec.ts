import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WRITE_USAGE } from '../support/sql.js';
import { parseCsv, USAGE_CSV_HEADER } from '../support/csv.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { endLeases, initialize, userWithCredits } from '../support/money.js';
import { SeededRandom } from '../support/seeded-random.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { UsageSearchService } from '../../src/usage/usage-search.service.js';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';

interface UsageRecord {
  id: number;
  userId: string;
  timestamp: string;
  service: string;
  operation: string;
  billingStatus: string;
  apiKeyId: number | null;
  sessionId: string | null;
  requestId: string | null;
}
interface Page {
  items: UsageRecord[];
  nextCursor: string | null;
  searchedBackTo: string | null;
}

const LIST = '/api/usage/records/all';
const asCsv = { accept: 'text/csv' };
const USERS = ['dave', 'alice', 'bob', 'carol', '__proto__'];
const SERVICES = ['chat', 'chat-streaming', 'embeddings'];
const OPERATIONS = ['model-a', 'model-b', 'vendor/model:1'];
const STATUSES = ['recorded', 'billed', 'needs_review', 'waived'];
const RECORDS = 1500;
const COMBINATIONS = 60;

const random = new SeededRandom();
let service: TestService;
let root: HttpClient;
/** All there is, as it must be listed. */
let newestFirst: UsageRecord[];

beforeAll(async () => {
  service = await startService();
  await service.owner.query(WRITE_USAGE);
  root = service.as('root', { role: 'admin' });
  for (const userId of USERS) await service.as(userId).get('/api/credits/balance');
  await writeRandom();
  await callWithKeys();
  await runSessions();
  newestFirst = await readAll();
});
afterAll(() => service.close());

/** Many at the same instant, some a microsecond apart, in another order than they happened. */
async function writeRandom(): Promise<void> {
  const records = Array.from({ length: RECORDS }, () => ({
    account_id: random.pick(USERS),
    timestamp: `2026-0${random.integer(1, 6)}-1${random.integer(0, 9)}T0${random.integer(0, 3)}:00:00.00000${random.integer(0, 2)}Z`,
    service: random.pick(SERVICES),
    operation: random.pick(OPERATIONS),
    credits: random.integer(0, 50),
    metadata: {},
    billing_status: random.pick(STATUSES),
    uncollected_credits: 0,
  }));
  await service.owner.query(
    `SELECT count(write_usage(jsonb_populate_record(NULL::usage_records, r))) FROM jsonb_array_elements($1) r`,
    [JSON.stringify(records)],
  );
}

/** Charges with ids, with and without a key; two users have used the same id. */
async function callWithKeys(): Promise<void> {
  for (const userId of ['alice', 'bob']) {
    const { key } = (
      await service
        .as(userId)
        .post<{ key: string }>('/api/api-keys', { name: 'k', permissions: ['usage:write'] })
    ).body;
    const client = service.withHeaders({ 'x-api-key': key });
    for (const caller of [client, service.as(userId)]) {
      for (const requestId of ['shared', `own-of-${userId}`]) {
        await caller.post('/api/usage/charge', {
          requestId: caller === client ? requestId : `${requestId}-2`,
          modelId: 'model-a',
          tokens: 5000,
          onInsufficient: 'review',
        });
      }
    }
  }
}

/** Finalized, timed out, and timed out but finalized late; two users have used the same id. */
async function runSessions(): Promise<void> {
  const boss = service.as('boss', { role: 'supervisor' });
  for (const userId of ['carol', 'bob']) {
    const user = service.as(userId);
    await boss.post('/api/credits/allocate', { userId, credits: 1000 });
    for (const sessionId of ['shared', 'stale', 'late'])
      expect((await initialize(user, sessionId)).status).toBe(201);
    await user.post('/api/streaming-sessions/finalize', { sessionId: 'shared', actualTokens: 10 });
    await endLeases(service, user);
  }
  await service.get(StreamingSessionsSweeper).sweep();
  for (const userId of ['carol', 'bob'])
    await service
      .as(userId)
      .post('/api/streaming-sessions/finalize', { sessionId: 'late', actualTokens: 10 });
}

async function readAll({ owner } = service): Promise<UsageRecord[]> {
  const { rows } = await owner.query<UsageRecord>(
    `SELECT id::integer, account_id AS "userId", to_json(timestamp) #>> '{}' AS timestamp, service, operation,
            billing_status AS "billingStatus", api_key_id::integer AS "apiKeyId", session_id AS "sessionId",
            request_id AS "requestId"
       FROM usage_records ORDER BY usage_records.timestamp DESC, id DESC`,
  );
  return rows;
}

/** All pages, one after the other; `between` happens after each. */
async function walk(
  query: string,
  options: { limit?: number; caller?: HttpClient; between?: () => Promise<unknown> } = {},
): Promise<Page[]> {
  const { limit = 200, caller = root, between } = options;
  const pages: Page[] = [];
  let cursor: string | null = null;
  do {
    const path: string = `${LIST}?limit=${limit}&${query}${cursor === null ? '' : `&cursor=${cursor}`}`;
    const answer = await caller.get<Page>(path);
    expect(answer.status, path).toBe(200);
    pages.push(answer.body);
    cursor = answer.body.nextCursor;
    await between?.();
  } while (cursor !== null);
  return pages;
}

const idsOf = (pages: Page[]) => pages.flatMap(({ items }) => items.map(({ id }) => id));

describe('GET /usage/records/all', () => {
  it.each([7, 199, 200])(
    'lists every record of everyone once in pages of %i, newest first',
    async (limit) => {
      const pages = await walk('', { limit });
      expect(idsOf(pages)).toEqual(newestFirst.map(({ id }) => id));
      expect(pages.slice(0, -1).every(({ items }) => items.length === limit)).toBe(true);
      expect(pages.every(({ searchedBackTo }) => searchedBackTo === null)).toBe(true);
      expect(
        newestFirst.some(({ id }, index) => index > 0 && id > (newestFirst[index - 1] as UsageRecord).id),
      ).toBe(true);
    },
  );

  it('says of each record what the list of its user says', async () => {
    for (const userId of USERS) {
      const theirs = await root.get<Page>(`/api/usage/records/user/${userId}?limit=200`);
      const answer = await root.get<Page>(`${LIST}?limit=200&userId=${userId}`);
      expect(answer.body.items).toEqual(theirs.body.items);
    }
  });

  it(`gives what looking at each record gives, for ${COMBINATIONS} random combinations of all filters`, async () => {
    const empty = { found: 0, none: 0 };
    for (let index = 0; index < COMBINATIONS; index++) {
      const like = random.pick(
        random.chance(0.4) ? newestFirst.filter((r) => r.requestId ?? r.sessionId) : newestFirst,
      );
      // Values of one record, so that combinations find something, and now and then of another.
      const some = <Value>(value: Value, other: readonly Value[]) =>
        random.chance(0.3) ? (random.chance(0.9) ? value : random.pick(other)) : undefined;
      const filters: Record<string, string | number | null | undefined> = {
        userId: some(like.userId, [...USERS, 'unknown']),
        service: some(like.service, SERVICES),
        operation: some(like.operation, OPERATIONS),
        billingStatus: some(like.billingStatus, STATUSES),
        apiKeyId: some(like.apiKeyId, [1, 2, 4711]),
        sessionId: some(like.sessionId, ['shared', 'late', 'no such']),
        requestId: some(like.requestId, ['shared', 'no such']),
      };
      const day = like.timestamp.slice(0, 10);
      const given = Object.entries(filters).filter(([, value]) => value !== undefined && value !== null);
      const range = random.pick<Record<string, string>>([
        {},
        {},
        { startDate: day },
        { endDate: day },
        { startDate: day, endDate: day },
      ]);
      const query = new URLSearchParams([
        ...given.map(([name, value]): [string, string] => [name, String(value)]),
        ...Object.entries(range),
      ]).toString();
      const expected = newestFirst.filter(
        (record) =>
          given.every(([name, value]) => record[name as keyof UsageRecord] === value) &&
          (range.startDate === undefined || record.timestamp.slice(0, 10) >= range.startDate) &&
          (range.endDate === undefined || record.timestamp.slice(0, 10) <= range.endDate),
      );
      const message = `TEST_SEED=${random.seed}: ${query}`;
      expect(idsOf(await walk(query, { limit: random.pick([20, 200]) })), message).toEqual(
        expected.map(({ id }) => id),
      );
      if (index % 5 === 0) {
        const { text } = await root.get(`${LIST}?${query}`, asCsv);
        expect(
          parseCsv(text)
            .slice(1)
            .map(([id]) => Number(id)),
          message,
        ).toEqual(expected.map(({ id }) => id));
      }
      empty[expected.length === 0 ? 'none' : 'found']++;
    }
    expect(empty.found).toBeGreaterThan(COMBINATIONS / 4);
    expect(empty.none).toBeGreaterThan(0);
  });

  it('lists every record once, too, while new ones and late ones arrive between the pages', async () => {
    const busy = await startService();
    const admin = busy.as('root', { role: 'admin' });
    const users = [busy.as(), busy.as(), busy.as()];
    const record = (index: number, timestamp?: string) =>
      busy.internal().post('/api/usage/record', {
        userId: (users[index % 3] as HttpClient).userId,
        ...{ service: 'chat', operation: 'm', credits: 1 },
        ...(timestamp === undefined ? {} : { timestamp }),
      });
    for (const user of users) await user.get('/api/credits/balance');
    for (let index = 0; index < 90; index++) await record(index, `2026-05-0${1 + (index % 9)}T00:00:00Z`);
    const before = (await readAll(busy)).map(({ id }) => id);
    let index = 0;
    const pages = await walk('', {
      limit: 8,
      caller: admin,
      between: async () => {
        await record(index++);
        await record(index++, '2026-05-09T00:00:00.000001Z');
      },
    });
    expect(idsOf(pages)).toEqual(before);
    await busy.close();
  });

  it('is a route of its own, and not of a user called "all", whom there cannot be', async () => {
    const all = service.as('all');
    expect((await all.get('/api/usage/records')).status).toBe(401);
    expect(await root.get(`${LIST}?userId=all`)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'userId' }] },
    });
    // The sub-route of one user answers a supervisor; this one does not.
    const boss = service.as('boss', { role: 'supervisor' });
    expect((await boss.get(LIST)).status).toBe(403);
    expect((await boss.get('/api/usage/records/user/alice')).status).toBe(200);
  });

  it('403 for everyone but admins, 401 without credentials, as JSON and as CSV', async () => {
    const { key } = (
      await service.as().post<{ key: string }>('/api/api-keys', { name: 'k', permissions: ['usage:read'] })
    ).body;
    for (const headers of [{}, asCsv]) {
      for (const caller of [
        service.as(),
        service.as('boss', { role: 'supervisor' }),
        service.withHeaders({ 'x-api-key': key }),
        service.internal(),
      ])
        expect((await caller.get(LIST, headers)).status).toBe(403);
      expect((await service.anonymous().get(LIST, headers)).status).toBe(401);
    }
  });

  it.each([
    ['userId', 'userId='],
    ['userId', 'userId=a%00b'],
    ['userId', `userId=${'x'.repeat(51)}`],
    ['userId', 'userId=alice&userId=bob'],
    ['service', 'service='],
    ['operation', `operation=${'x'.repeat(101)}`],
    ['billingStatus', 'billingStatus=paid'],
    ['billingStatus', 'billingStatus='],
    ['apiKeyId', 'apiKeyId=0'],
    ['apiKeyId', 'apiKeyId=1.5'],
    ['apiKeyId', 'apiKeyId=ak_1'],
    ['sessionId', 'sessionId='],
    ['requestId', `requestId=${'x'.repeat(201)}`],
    ['startDate', 'startDate=yesterday'],
    ['endDate', 'endDate=2026-02-30'],
    ['endDate', 'startDate=2026-05-02&endDate=2026-05-01'],
    ['limit', 'limit=201'],
    ['cursor', 'cursor=!'],
    ['page', 'page=2'],
  ])('400 names %s for ?%s, as JSON and as CSV', async (field, query) => {
    for (const headers of [{}, asCsv])
      expect(await root.get(`${LIST}?${query}`, headers)).toMatchObject({
        status: 400,
        body: { code: 'validation.failed', errors: [{ field }] },
      });
  });

  it('is empty, and a heading alone as CSV, where nothing matches', async () => {
    const query = `${LIST}?userId=${freshUser('unknown')}`;
    expect((await root.get(query)).body).toEqual({ items: [], nextCursor: null, searchedBackTo: null });
    expect((await root.get(query, asCsv)).text).toBe(`${USAGE_CSV_HEADER.join(',')}\r\n`);
  });
});

describe('a rare filter among many records', () => {
  const MANY = 120_000;
  /** How far back those are that match: around the ends of what one request looks through. */
  const RANKS = [49_998, 49_999, 50_000, 50_001, 99_999, 100_000, 119_999];
  let many: TestService;
  let admin: HttpClient;
  let user: HttpClient;
  beforeAll(async () => {
    many = await startService();
    admin = many.as('root', { role: 'admin' });
    user = await userWithCredits(many, 10);
    // Past the roll-up, which no list reads.
    await many.owner.query(
      `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status)
       SELECT $1::varchar, $1::varchar, '2026-11-01T00:00:00Z'::timestamptz - n / 3 * interval '1 second',
              CASE WHEN n = ANY($3) THEN 'rare' ELSE 'chat' END, 'm', n, '{}', 'recorded'
         FROM generate_series($2::integer - 1, 0, -1) n`,
      [user.userId, MANY, RANKS],
    );
    await many.owner.query('ANALYZE usage_records');
  });
  afterAll(() => many.close());

  it('is answered in portions, each saying how far it has looked, with every match once', async () => {
    const pages = await walk('service=rare', { limit: 5, caller: admin });
    const found = pages.map(({ items }) =>
      items.map((item) => (item as unknown as { credits: number }).credits),
    );
    expect(found).toEqual([
      [49_998, 49_999],
      [50_000, 50_001, 99_999],
      [100_000, 119_999],
    ]);
    expect(pages.map(({ searchedBackTo }) => searchedBackTo)).toEqual([
      '2026-10-31T19:22:14.000Z',
      '2026-10-31T14:44:27.000Z',
      null,
    ]);
  });

  it('is answered in portions for the user and for their supervisor, too', async () => {
    const boss = many.as('boss', { role: 'supervisor' });
    for (const [caller, list] of [
      [user, '/api/usage/records'],
      [boss, `/api/usage/records/user/${user.userId}`],
    ] as const) {
      const times: (string | null)[] = [];
      const found: number[] = [];
      let after: string | null = '';
      while (after !== null) {
        const answer: Answer<Page> = await caller.get(`${list}?service=rare&limit=200${after}`);
        times.push(answer.body.searchedBackTo);
        found.push(...answer.body.items.map((item) => (item as unknown as { credits: number }).credits));
        after = answer.body.nextCursor === null ? null : `&cursor=${answer.body.nextCursor}`;
      }
      expect(found).toEqual(RANKS);
      expect(times).toEqual(['2026-10-31T19:22:14.000Z', '2026-10-31T14:44:27.000Z', null]);
    }
  });

  it('is answered the same for one user, and for a filter that nothing matches', async () => {
    const ofUser = await walk(`service=rare&userId=${user.userId}`, { caller: admin });
    expect(ofUser.flatMap(({ items }) => items)).toHaveLength(RANKS.length);
    const none = await walk('operation=nothing', { caller: admin });
    expect(none.map(({ items }) => items)).toEqual([[], [], []]);
  });

  it('is found whole as CSV, in one request', async () => {
    const { text } = await admin.get(`${LIST}?service=rare`, asCsv);
    expect(
      parseCsv(text)
        .slice(1)
        .map((row) => Number(row[5])),
    ).toEqual(RANKS);
  });

  it('is searched no further for a client that has hung up, also when nothing was found yet', async () => {
    const query = { operation: 'nothing', limit: 50 };
    const portions: string[] = [];
    for await (const lines of many.get(UsageSearchService).csv(query, 'user:root')) portions.push(lines);
    expect(portions).toEqual([`${USAGE_CSV_HEADER.join(',')}\r\n`, '', '']);
    expect((await admin.get(`${LIST}?operation=nothing`, asCsv)).text).toBe(portions[0]);
  });

  it('finds every match once while records arrive between the portions', async () => {
    const pages = await walk('service=rare', {
      limit: 5,
      caller: admin,
      between: () => user.post('/api/usage/record', { service: 'rare', operation: 'm', credits: 0 }),
    });
    const found = pages.flatMap(({ items }) =>
      items.map((item) => (item as unknown as { credits: number }).credits),
    );
    expect(found).toEqual(RANKS);
  });

  it('looks through no more than its portion, and stops as soon as the page is full', async () => {
    const fetched = async () => {
      const { rows } = await many.owner.query<{ n: string }>(
        `SELECT idx_tup_fetch + seq_tup_read AS n FROM pg_stat_user_tables WHERE relname = 'usage_records'`,
      );
      return Number(rows[0]?.n);
    };
    const readBy = async (query: string) => {
      const before = await fetched();
      const fresh = await many.another({ DB_POOL_SIZE: '1' });
      await fresh.as('root', { role: 'admin' }).get(`${LIST}?${query}`);
      // A connection that ends reports at once all that it has read.
      await fresh.close();
      await expect.poll(fetched).toBeGreaterThan(before);
      return (await fetched()) - before;
    };
    expect(await readBy('service=chat&limit=50')).toBeLessThan(1000);
    // The records, and once more to where the portion ends.
    expect(await readBy('operation=nothing')).toBeLessThan(110_000);
  });

  it('is not looked through at all where an index has the answer', async () => {
    const reviewed = await admin.get<Page>(`${LIST}?billingStatus=needs_review`);
    expect(reviewed.body).toEqual({ items: [], nextCursor: null, searchedBackTo: null });
    const request = await admin.get<Page>(`${LIST}?userId=${user.userId}&requestId=none`);
    expect(request.body).toEqual({ items: [], nextCursor: null, searchedBackTo: null });
    const session = await admin.get<Page>(`${LIST}?userId=${user.userId}&sessionId=none`);
    expect(session.body).toEqual({ items: [], nextCursor: null, searchedBackTo: null });
  });
});
