import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordUsage } from '../support/sql.js';
import { parseCsv, USAGE_CSV_HEADER } from '../support/csv.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { holdUp } from '../support/hold-up.js';
import { balanceOf, countByStatus, userWithCredits } from '../support/money.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { accessToken } from '../support/tokens.js';

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

interface UsageRecord {
  id: number;
  userId: string;
  timestamp: string;
  service: string;
  operation: string;
  credits: number;
  billingStatus: string;
}
interface Page {
  items: UsageRecord[];
  nextCursor: string | null;
}

const EVENT = { service: 'embeddings', operation: 'small', credits: 12 };
const record = (user: HttpClient, more: object = {}, headers: Record<string, string> = {}) =>
  user.post<UsageRecord>('/api/usage/record', { ...EVENT, ...more }, headers);
const key = (value: string) => ({ 'idempotency-key': value });
const REPLAYED = 'idempotency-replayed';

async function recordsOf(user: HttpClient, query = ''): Promise<UsageRecord[]> {
  return (await user.get<Page>(`/api/usage/records?limit=200${query}`)).body.items;
}

describe('POST /usage/record', () => {
  it('201 with the record, and moves no credits', async () => {
    const user = await userWithCredits(service, 100);
    const before = await balanceOf(user);
    const metadata = { documents: 3, nested: { list: [1, 'two', null, true] }, 'ключ "x"': '\n😀' };
    const answer = await record(user, { metadata });
    expect(answer.status).toBe(201);
    expect(answer.headers.has(REPLAYED)).toBe(false);
    expect(answer.body).toEqual({
      id: expect.any(Number) as number,
      accountId: user.userId,
      userId: user.userId,
      version: 1,
      timestamp: expect.any(String) as string,
      ...EVENT,
      metadata,
      billingStatus: 'recorded',
      uncollectedCredits: 0,
      providerCostUsd: null,
      providerCostSource: null,
      requestId: null,
      apiKeyId: null,
      unitId: null,
      tags: null,
      sessionId: null,
      pricingRuleId: null,
      pricingSource: null,
      pricedAs: null,
      quantities: null,
      usageSource: null,
      serviceTier: null,
      pricingNotes: [],
      reviewAction: null,
      reviewedBy: null,
      reviewedAt: null,
    });
    expect(await balanceOf(user)).toEqual(before);
    const ledger = await user.get<Page>('/api/credits/ledger');
    expect(ledger.body.items).toHaveLength(1);
    expect(await recordsOf(user)).toEqual([answer.body]);
  });

  it('keeps events of a user who has no credits at all', async () => {
    const answer = await record(service.as(), { credits: 1_000_000_000_000 });
    expect(answer).toMatchObject({ status: 201, body: { credits: 1_000_000_000_000 } });
  });

  it('is dated now when no time is given', async () => {
    const before = Date.now();
    const { body } = await record(service.as());
    expect(Date.parse(body.timestamp)).toBeGreaterThanOrEqual(before - 1);
    expect(Date.parse(body.timestamp)).toBeLessThanOrEqual(Date.now() + 1);
  });

  it.each<[sent: string, kept: string]>([
    ['2026-11-20T12:00:00Z', '2026-11-20T12:00:00.000Z'],
    ['2026-11-20T12:00Z', '2026-11-20T12:00:00.000Z'],
    ['2026-11-20T12:00:00+05:30', '2026-11-20T06:30:00.000Z'],
    ['2026-03-01T00:00:00-12:00', '2026-03-01T12:00:00.000Z'],
    ['2026-11-20T12:00:00.123Z', '2026-11-20T12:00:00.123Z'],
    ['2026-11-20T12:00:00.123456Z', '2026-11-20T12:00:00.123Z'],
    ['2024-02-29T23:59:59.999999Z', '2024-02-29T23:59:59.999Z'],
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00.000Z'],
    ['2026-11-20T24:00:00Z', '2026-11-21T00:00:00.000Z'],
    ['2026-11-20T12:00:00+23:59', '2026-11-19T12:01:00.000Z'],
    ['2026-11-20T12:00:00.999999999Z', '2026-11-20T12:00:00.999Z'],
  ])('keeps the time %s as %s', async (sent, kept) => {
    const user = service.as();
    await balanceOf(user);
    const answer = await record(service.internal(), { userId: user.userId, timestamp: sent });
    expect(answer).toMatchObject({ status: 201, body: { timestamp: kept } });
    expect((await user.get('/api/usage/stats')).body.byDay).toEqual({ [kept.slice(0, 10)]: 12 });
  });

  const DAY = 86_400_000;
  it.each<[field: string, why: string, fields: () => object]>([
    ['timestamp', 'a date alone', () => ({ timestamp: '2026-11-20' })],
    ['timestamp', 'no such day', () => ({ timestamp: '2026-02-30T12:00:00Z' })],
    ['timestamp', 'a number', () => ({ timestamp: 1_700_000_000 })],
    ['timestamp', 'the future', () => ({ timestamp: new Date(Date.now() + DAY + 60_000).toISOString() })],
    [
      'timestamp',
      'more than 35 days back',
      () => ({ timestamp: new Date(Date.now() - 35 * DAY - 60_000).toISOString() }),
    ],
    ['timestamp', 'before 1970', () => ({ timestamp: '1969-12-31T23:59:59Z' })],
    ['credits', 'negative', () => ({ credits: -1 })],
    ['credits', 'broken', () => ({ credits: 1.5 })],
    ['credits', 'text', () => ({ credits: '1' })],
    ['credits', 'too many', () => ({ credits: 1_000_000_000_001 })],
    ['credits', 'missing', () => ({ credits: undefined })],
    ['service', 'empty', () => ({ service: '' })],
    ['service', 'too long', () => ({ service: 's'.repeat(51) })],
    ['operation', 'a line break', () => ({ operation: 'a\nb' })],
    ['operation', 'a lone surrogate', () => ({ operation: '\ud800' })],
    ['metadata', 'no object', () => ({ metadata: [1] })],
    ['metadata', 'too large', () => ({ metadata: { text: 'x'.repeat(16_384) } })],
    ['metadata', 'NUL, which the database does not take', () => ({ metadata: { text: 'a\u0000b' } })],
    ['surprise', 'an unknown field', () => ({ surprise: 1 })],
  ])('400 names %s when it is wrong: %s', async (field, _why, fields) => {
    const user = service.as();
    const answer = await record(user, fields());
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code: 'validation.failed', errors: [{ field }] });
    expect(await recordsOf(user)).toEqual([]);
  });

  it('takes a time up to a day ahead, for clocks that are not right', async () => {
    const timestamp = new Date(Date.now() + DAY - 60_000).toISOString();
    expect(await record(service.as(), { timestamp })).toMatchObject({ status: 201, body: { timestamp } });
  });

  it('takes a time up to 35 days back', async () => {
    const timestamp = new Date(Date.now() - 35 * DAY + 60_000).toISOString();
    expect(await record(service.as(), { timestamp })).toMatchObject({ status: 201, body: { timestamp } });
  });

  it('takes no more of an account in a UTC day than 10^12 credits, at once and one after the other', async () => {
    const user = service.as();
    const yesterday = { timestamp: new Date(Date.now() - DAY).toISOString() };
    const half = { credits: 500_000_000_001 };
    const answers = await Promise.all([1, 2, 3].map(() => record(user, { ...half, ...yesterday })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 422, 422]);
    const refused = answers.find(({ status }) => status === 422);
    expect(refused?.body).toMatchObject({ code: 'usage.day_limit', errors: [{ field: 'credits' }] });
    expect((await record(user, { credits: 499_999_999_999, ...yesterday })).status).toBe(201);
    // A small record is taken, another day and another account have room.
    expect((await record(user, { credits: 1_000_001, ...yesterday })).status).toBe(422);
    expect((await record(user, { credits: 1_000_000, ...yesterday })).status).toBe(201);
    expect((await record(user, half)).status).toBe(201);
    expect((await record(service.as(), { ...half, ...yesterday })).status).toBe(201);
  });

  it('records for the user that a trusted service names, and 404 for one never seen', async () => {
    const user = service.as();
    await balanceOf(user);
    const answer = await record(service.internal(), { userId: user.userId });
    expect(answer).toMatchObject({ status: 201, body: { userId: user.userId } });
    const unknown = await record(service.internal(), { userId: freshUser('unknown') });
    expect(unknown).toMatchObject({ status: 404, body: { code: 'account.not_found' } });
  });

  it('403 for a user who records for another', async () => {
    const other = service.as();
    await balanceOf(other);
    expect((await record(service.as(), { userId: other.userId })).status).toBe(403);
    expect(await recordsOf(other)).toEqual([]);
  });
});

describe('Idempotency-Key on POST /usage/record', () => {
  it('gives the first answer again for the same key and body', async () => {
    const user = service.as();
    const first = await record(user, {}, key('k1'));
    const second = await record(user, {}, key('k1'));
    expect(first.status).toBe(201);
    expect(second.status).toBe(201);
    expect(second.text).toBe(first.text);
    expect([first, second].map(({ headers }) => headers.get(REPLAYED))).toEqual([null, 'true']);
    expect(await recordsOf(user)).toHaveLength(1);
  });

  it.each<[what: string, changed: object]>([
    ['credits', { credits: 13 }],
    ['service', { service: 'other' }],
    ['metadata', { metadata: { a: 1 } }],
    ['timestamp', { timestamp: new Date().toISOString() }],
  ])('422 for the same key with other %s, and records nothing', async (_, changed) => {
    const user = service.as();
    await record(user, {}, key('k'));
    const answer = await record(user, changed, key('k'));
    expect(answer).toMatchObject({ status: 422, body: { code: 'idempotency.mismatch' } });
    expect(await recordsOf(user)).toHaveLength(1);
  });

  it('is the same request whatever the order of its members', async () => {
    const user = service.as();
    const bodies = [
      '{"service":"s","operation":"o","credits":1,"metadata":{"b":{"y":[1,2],"x":"é"},"a":1}}',
      '{"metadata":{"a":1,"b":{"x":"\\u00e9","y":[1,2]}}, "credits":1.0,"operation":"o","service":"s"}',
    ];
    const answers = [];
    for (const body of bodies) answers.push(await user.post('/api/usage/record', body, key('order')));
    expect(answers[1]).toMatchObject({ status: 201, text: answers[0]?.text });
    const other = bodies[0]?.replace('[1,2]', '[2,1]');
    expect((await user.post('/api/usage/record', other, key('order'))).status).toBe(422);
  });

  it('belongs to its caller: the same key of another user, or of a trusted service, is another', async () => {
    const [one, two] = [service.as(), service.as()];
    await balanceOf(one);
    const answers = [
      await record(one, {}, key('shared')),
      await record(two, {}, key('shared')),
      await record(service.internal(), { userId: one.userId }, key('shared')),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(3);
    // A service has keys for each user it names.
    expect((await record(service.internal(), { userId: two.userId }, key('shared'))).status).toBe(201);
  });

  /** Where requests of one user meet in the database: they would wait for each other before it. */
  const apart = () => service.another({ COMBINE_MOVEMENTS: 'off' });

  /** All requests stand before the same key, unseen by each other, until a lock on it is given back. */
  const atOnce = (user: HttpClient, requests: (() => Promise<Answer<UsageRecord>>)[]) =>
    holdUp(
      service,
      `INSERT INTO idempotency_keys (account_id, caller_id, key, request_hash, response)
       VALUES ($1::text, 'user:' || $1::text, 'once', sha256('gate'), '{}')`,
      [user.userId],
      requests,
    );

  it('makes one record and 20 equal answers of 20 requests at once, also on two instances', async () => {
    const [first, second] = [await apart(), await apart()];
    const user = first.as();
    await balanceOf(user);
    const twin = second.as(user.userId);
    await balanceOf(twin);
    const answers = await atOnce(
      user,
      Array.from({ length: 20 }, (_, index) => () => record(index % 2 === 0 ? user : twin, {}, key('once'))),
    );
    await first.close();
    await second.close();
    expect(countByStatus(answers as unknown as Answer[])).toEqual({ 201: 20 });
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get(REPLAYED) === 'true')).toHaveLength(19);
    const known = service.as(user.userId);
    expect(await recordsOf(known)).toHaveLength(1);
    expect((await known.get('/api/usage/stats')).body).toMatchObject({ totalRecords: 1, totalCredits: 12 });
  });

  it('answers one of two different requests at once under one key, and 422 to the other', async () => {
    const instance = await apart();
    const user = instance.as();
    await balanceOf(user);
    const answers = await atOnce(
      user,
      [1, 2].map((credits) => () => record(user, { credits }, key('once'))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 422]);
    expect(await recordsOf(user)).toHaveLength(1);
    await instance.close();
  });

  it('is forgotten after 24 hours: then it counts as new, once, also for requests at once', async () => {
    const instance = await apart();
    const user = instance.as();
    const caller = `user:${user.userId}`;
    const first = await record(user, {}, key('old'));
    const age = (interval: string) =>
      service.owner.query(
        'UPDATE idempotency_keys SET created_at = now() - $2::interval WHERE caller_id = $1',
        [caller, interval],
      );
    await age('23 hours 59 minutes');
    expect((await record(user, {}, key('old'))).text).toBe(first.text);
    await age('24 hours');
    const answers = await holdUp(
      service,
      'SELECT FROM idempotency_keys WHERE caller_id = $1 FOR UPDATE',
      [caller],
      Array.from({ length: 12 }, () => () => record(user, { credits: 1 }, key('old'))),
    );
    expect(countByStatus(answers as unknown as Answer[])).toEqual({ 201: 12 });
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(await recordsOf(user)).toHaveLength(2);
    await instance.close();
  });

  it.each(['', 'x'.repeat(256), 'caf\u00e9'])('400 for the key %j', async (value) => {
    const answer = await record(service.as(), {}, key(value));
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: 'Idempotency-Key' }] } });
  });

  it('may be any 1 to 255 printable characters', async () => {
    for (const value of ['~', 'x'.repeat(255), 'a b"c\\d']) {
      expect((await record(service.as(), {}, key(value))).status).toBe(201);
    }
  });
});

/**
 * Events numbered by their credits, in groups of one time, some a microsecond apart inside one millisecond. They arrive
 * in another order than they happened.
 */
async function writeMany(user: HttpClient, count: number, { owner } = service): Promise<void> {
  await balanceOf(user);
  const at = `'2026-01-01T00:00:00Z'::timestamptz + (n / 7) * interval '1 microsecond' + (n / 50) * interval '1 hour'`;
  await owner.query(
    `SELECT count(${recordUsage('$1::text', at, `'service-' || n % 3`, `'operation-' || n % 5`, 'n')})
       FROM (SELECT n FROM generate_series(0, $2::integer - 1) AS n ORDER BY n * 7919 % 1009, n) AS shuffled`,
    [user.userId, count],
  );
}

/** All pages, one after the other; `between` happens after each. */
async function walk(
  user: HttpClient,
  path: string,
  between: () => Promise<unknown> = () => Promise.resolve(),
) {
  const pages: UsageRecord[][] = [];
  let cursor: string | null = null;
  do {
    const answer: Answer<Page> = await user.get<Page>(path + (cursor === null ? '' : `&cursor=${cursor}`));
    expect(answer.status).toBe(200);
    pages.push(answer.body.items);
    cursor = answer.body.nextCursor;
    await between();
  } while (cursor !== null);
  return pages;
}

describe('GET /usage/records', () => {
  const COUNT = 430;
  let user: HttpClient;
  /** The ids and numbers as they must be listed. */
  let newestFirst: number[];
  let numbers: number[];

  beforeAll(async () => {
    user = service.as();
    await writeMany(user, COUNT);
    const { rows } = await service.owner.query<{ id: string; credits: string }>(
      'SELECT id, credits FROM usage_records WHERE account_id = $1 ORDER BY timestamp DESC, id DESC',
      [user.userId],
    );
    newestFirst = rows.map(({ id }) => Number(id));
    numbers = rows.map(({ credits }) => Number(credits));
    expect(newestFirst).not.toEqual(newestFirst.toSorted((a, b) => b - a));
  });

  it.each([1, 7, 43, 199, 200])('lists every record once in pages of %i', async (limit) => {
    const pages = await walk(user, `/api/usage/records?limit=${limit}`);
    expect(pages.flat().map(({ id }) => id)).toEqual(newestFirst);
    expect(pages.map((page) => page.length)).toEqual(
      Array.from({ length: Math.ceil(COUNT / limit) }, (_, page) => Math.min(limit, COUNT - page * limit)),
    );
  });

  it('lists 50 when no limit is named', async () => {
    const answer = await user.get<Page>('/api/usage/records');
    expect(answer.body.items).toHaveLength(50);
  });

  it('lists every record once, too, while new ones arrive between the pages', async () => {
    const busy = service.as();
    await writeMany(busy, 250);
    const before = (await walk(busy, '/api/usage/records?limit=200')).flat().map(({ id }) => id);
    const pages = await walk(busy, '/api/usage/records?limit=30', () => record(busy));
    expect(pages.flat().map(({ id }) => id)).toEqual(before);
    expect(await recordsOf(busy, '&service=embeddings')).toHaveLength(pages.length);
  });

  it.each<[query: string, matches: (n: number) => boolean]>([
    ['service=service-1', (n) => n % 3 === 1],
    ['operation=operation-2', (n) => n % 5 === 2],
    ['service=service-0&operation=operation-0', (n) => n % 15 === 0],
    ['service=nothing', () => false],
    ['service=service-1%27%20OR%201=1', () => false],
    ['startDate=2026-01-01T03:00:00Z', (n) => n >= 150],
    ['endDate=2026-01-01T03:00:00Z', (n) => n < 200],
    ['startDate=2026-01-01T02:00:00Z&endDate=2026-01-01T04:30:00%2B01:00', (n) => n >= 100 && n < 200],
    ['startDate=2026-01-01&endDate=2026-01-01', () => true],
    ['startDate=2026-01-02', () => false],
    ['service=service-2&endDate=2026-01-01T00:30:00Z', (n) => n % 3 === 2 && n < 50],
  ])('filters by %s, on every page', async (query, matches) => {
    const pages = await walk(user, `/api/usage/records?limit=20&${query}`);
    expect(pages.flat().map(({ credits }) => credits)).toEqual(numbers.filter(matches));
  });

  it.each(['limit=0', 'limit=201', 'limit=ten', 'limit=1.5', 'cursor=!', 'cursor=abc', 'cursor=', 'page=2'])(
    '400 for ?%s, naming the field',
    async (query) => {
      const answer = await user.get(`/api/usage/records?${query}`);
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: query.split('=')[0] }] } });
    },
  );

  it('shows nothing of others to a user with their cursor', async () => {
    const theirs = (await user.get<Page>('/api/usage/records?limit=1')).body.nextCursor;
    const curious = service.as();
    await record(curious);
    const answer = await curious.get<Page>(`/api/usage/records?cursor=${theirs}`);
    expect(answer).toMatchObject({ status: 200, body: { items: [], nextCursor: null } });
  });

  it('is empty, not missing, for a user without records', async () => {
    const answer = await service.as().get<Page>('/api/usage/records');
    expect(answer).toMatchObject({ status: 200, body: { items: [], nextCursor: null } });
  });

  it('shows a supervisor the records of a user, page by page', async () => {
    const boss = service.as('boss', { role: 'supervisor' });
    const pages = await walk(boss, `/api/usage/records/user/${user.userId}?limit=200&service=service-0`);
    expect(pages.flat()).toHaveLength(Math.ceil(COUNT / 3));
    expect(pages.flat().every(({ userId }) => userId === user.userId)).toBe(true);
  });

  it('403 for a user who asks for another, known or not', async () => {
    for (const id of [user.userId, freshUser('unknown')]) {
      expect((await service.as().get(`/api/usage/records/user/${id}`)).status).toBe(403);
    }
  });

  it('404 for a user never seen, as JSON and as CSV', async () => {
    const boss = service.as('boss', { role: 'supervisor' });
    for (const accept of ['application/json', 'text/csv']) {
      const answer = await boss.get(`/api/usage/records/user/${freshUser('unknown')}`, { accept });
      expect(answer).toMatchObject({ status: 404, body: { code: 'account.not_found' } });
    }
  });

  it('takes the user from a trusted service, and none other from a user', async () => {
    const mine = await service.internal().get<Page>(`/api/usage/records?limit=1&userId=${user.userId}`);
    expect(mine).toMatchObject({ status: 200, body: { items: [{ id: newestFirst[0] }] } });
    expect((await service.as().get(`/api/usage/records?userId=${user.userId}`)).status).toBe(403);
    expect((await service.internal().get('/api/usage/records')).status).toBe(400);
  });
});

describe('GET /usage/records with Accept: text/csv', () => {
  const asCsv = { accept: 'text/csv' };

  it('has every record of thousands, newest first, streamed', async () => {
    const user = service.as();
    await writeMany(user, 4321);
    const answer = await user.get('/api/usage/records?limit=10', asCsv);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(answer.headers.get('content-disposition')).toContain('attachment');
    expect(answer.headers.get('content-length')).toBeNull();
    const [header, ...rows] = parseCsv(answer.text);
    expect(header).toEqual(USAGE_CSV_HEADER);
    expect(rows.map((row) => Number(row[5])).toSorted((a, b) => a - b)).toEqual([...Array(4321).keys()]);
    expect(rows.map((row) => row[2])).toEqual(
      rows
        .map((row) => row[2])
        .toSorted()
        .reverse(),
    );
    expect(new Set(rows.map((row) => row[0])).size).toBe(4321);
    expect(rows.every((row) => row.length === USAGE_CSV_HEADER.length && row[1] === user.userId)).toBe(true);
    const filtered = await user.get(
      '/api/usage/records?service=service-1&endDate=2026-01-01T00:30:00Z',
      asCsv,
    );
    expect(parseCsv(filtered.text)).toHaveLength(1 + 17);
  });

  it('says the same of a record as JSON does', async () => {
    const user = await userWithCredits(service, 100);
    await user.post('/api/streaming-sessions/initialize', {
      ...{ sessionId: 'csv, "1"', modelId: 'unknown/model', estimatedTokens: 1000 },
    });
    await user.post('/api/streaming-sessions/finalize', {
      ...{ sessionId: 'csv, "1"', actualTokens: 900, providerCostUsd: '0.000000000000000001' },
    });
    const json = (await recordsOf(user))[0] as unknown as Record<string, unknown>;
    const [, row] = parseCsv((await user.get('/api/usage/records', asCsv)).text);
    const texts = USAGE_CSV_HEADER.map((name) => json[name]).map((value) =>
      value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value),
    );
    expect(row).toEqual(texts);
    expect(json).toMatchObject({ providerCostUsd: '0.000000000000000001', sessionId: 'csv, "1"' });
  });

  it.each<[what: string, text: string]>([
    ['commas', 'a,b,,c'],
    ['quotes', '"a""b"'],
    ['a line feed', 'a\nb'],
    ['a carriage return', 'a\rb'],
    ['both', 'a\r\nb,"\n'],
    ['an emoji', '😀é'],
    ['semicolons', 'a;b'],
  ])('quotes a text with %s so that it is read as it was', async (_, text) => {
    const user = service.as();
    await balanceOf(user);
    // By hand, as no request may bring a line break in a name.
    await service.owner.query(
      `SELECT ${recordUsage('$1::text', 'now()', '$2::text', '$2::text', '1', '$3::jsonb')}`,
      [user.userId, text, JSON.stringify({ text })],
    );
    const rows = parseCsv((await user.get('/api/usage/records', asCsv)).text);
    expect(rows).toHaveLength(2);
    const row = rows[1] as string[];
    expect([row[3], row[4]]).toEqual([text, text]);
    expect(JSON.parse(row[12] as string)).toEqual({ text });
  });

  it.each([
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1+1', "'-1+1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['=HYPERLINK("http://x","y")', `'=HYPERLINK("http://x","y")`],
    ["=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"],
    ['\t=1', "'\t=1"],
    ['\r=1', "'\r'=1"],
    ['＝1', "'＝1"],
    ['＋1', "'＋1"],
    ['－1', "'－1"],
    ['＠SUM', "'＠SUM"],
    ['a;=1+1', "a;'=1+1"],
    ['a;b;＠x;-1', "a;b;'＠x;'-1"],
    ['a\n=1', "a\n'=1"],
    ['a\r\n+1', "a\r\n'+1"],
    ['a;"=1+1";b', `a;"'=1+1";b`],
    ['"=1+1', `"'=1+1`],
    ['a;""@x', `a;""'@x`],
    ['a=1;b-2 + 3@x', 'a=1;b-2 + 3@x'],
  ])('never lets a spreadsheet take a text for a formula: %j', async (text, harmless) => {
    const user = service.as(text.length <= 20 && !/\s/.test(text) ? text : undefined);
    await balanceOf(user);
    await service.owner.query(`SELECT ${recordUsage('$1::text', 'now()', '$2::text', '$2::text', '1')}`, [
      user.userId,
      text,
    ]);
    const rows = parseCsv((await user.get('/api/usage/records', asCsv)).text);
    expect(rows.at(-1)?.slice(3, 5)).toEqual([harmless, harmless]);
  });

  it.each<[accept: string | undefined, type: string]>([
    [undefined, 'application/json'],
    ['*/*', 'application/json'],
    ['application/json', 'application/json'],
    ['text/html', 'application/json'],
    ['application/json, text/csv', 'application/json'],
    ['text/csv;q=0.5, application/json', 'application/json'],
    ['text/csv, */*;q=0.1', 'text/csv'],
    ['text/csv', 'text/csv'],
    ['text/*', 'text/csv'],
  ])('answers Accept: %s with %s', async (accept, type) => {
    const user = service.as();
    await record(user);
    const answer = await user.get('/api/usage/records', accept === undefined ? {} : { accept });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toContain(type);
  });

  it('is a heading alone for a user without records', async () => {
    expect((await service.as().get('/api/usage/records', asCsv)).text).toBe(
      `${USAGE_CSV_HEADER.join(',')}\r\n`,
    );
  });

  it('400 for a range that ends before it starts, and not a list that is cut off', async () => {
    const query = '/api/usage/records?startDate=2026-05-02&endDate=2026-05-01';
    expect(await service.as().get(query, asCsv)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'endDate' }] },
    });
  });

  it('shows a supervisor the records of a user', async () => {
    const user = service.as();
    await record(user);
    const boss = service.as('boss', { role: 'supervisor' });
    const answer = await boss.get(`/api/usage/records/user/${user.userId}`, asCsv);
    expect(parseCsv(answer.text)).toHaveLength(2);
  });

  it('goes on serving, and complains of nothing, when a client hangs up in the middle', async () => {
    // Of its own: what goes wrong is logged by the instance that was started last.
    const other = await startService();
    const user = other.as();
    await writeMany(user, 3000, other);
    // 24 MB: more than the connection takes without a reader.
    await other.owner.query(
      `UPDATE usage_records SET metadata = jsonb_build_object('text', repeat('x', 8000)) WHERE account_id = $1`,
      [user.userId],
    );
    const before = other.logs.length;
    const authorization = `Bearer ${accessToken({ sub: user.userId })}`;
    const stop = new AbortController();
    const answer = await fetch(`${other.url}/api/usage/records`, {
      headers: { ...asCsv, authorization },
      signal: stop.signal,
    });
    await answer.body?.getReader().read();
    stop.abort();
    await expect
      .poll(() => other.logs.slice(before).some(({ path }) => path === '/api/usage/records'))
      .toBe(true);
    // The pool is whole again when as many questions as it has connections get an answer at once.
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => user.get('/api/usage/records?limit=1')),
    );
    expect(countByStatus(answers)).toEqual({ 200: 30 });
    const errors = other.logs.slice(before).filter(({ level }) => Number(level) >= 50);
    expect(errors).toEqual([]);
    await other.close();
  });
});

it('pages of the largest metadata have at most 512 kB and one record; together they have every record once', async () => {
  const user = await userWithCredits(service, 1);
  await service.owner.query(
    `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status)
     SELECT $1::varchar, $1::varchar, now(), 's', 'o', 0, jsonb_build_object('text', repeat('x', 16000)), 'recorded'
       FROM generate_series(1, 120)`,
    [user.userId],
  );
  const ids: number[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const { text, body }: Answer<Page> = await user.get<Page>(
      `/api/usage/records?limit=100${cursor && `&cursor=${cursor}`}`,
    );
    expect(Buffer.byteLength(text)).toBeLessThan(540_000);
    expect(body.items.length).toBeGreaterThan(0);
    ids.push(...body.items.map(({ id }) => id));
    cursor = body.nextCursor;
  }
  expect(new Set(ids).size).toBe(120);
  expect(ids).toEqual([...ids].sort((a, b) => b - a));
  const { text } = await user.get('/api/usage/records', { accept: 'text/csv' });
  expect(
    parseCsv(text)
      .map((row) => Number(row[0]))
      .filter(Number.isInteger),
  ).toEqual(ids);
});
