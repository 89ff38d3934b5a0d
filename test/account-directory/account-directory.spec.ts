import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeAccountCursor } from '../../src/account-directory/account-cursor.js';
import type { HttpClient } from '../support/http-client.js';
import { balanceOf, expireLots, initialize, userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';

let service: TestService;
let boss: HttpClient;
let admin: HttpClient;
beforeAll(async () => {
  service = await startService();
  boss = service.as('boss', { role: 'supervisor' });
  admin = service.as('root', { role: 'admin' });
});
afterAll(() => service.close());

interface Account {
  userId: string;
  username: string;
  email: string;
  role: string;
  createdAt: string;
  updatedAt: string;
  totalCredits: number;
  heldCredits: number;
}
interface Page {
  items: Account[];
  nextCursor: string | null;
}

/** Lets a user appear, as their first token does. */
async function appear(userId: string, username: string, email: string, role = 'user'): Promise<void> {
  expect((await service.as(userId, { username, email, role }).get('/api/credits/balance')).status).toBe(200);
}

async function search(text: string, more = ''): Promise<Page> {
  const answer = await boss.get<Page>(`/api/accounts?search=${encodeURIComponent(text)}${more}`);
  expect(answer.status).toBe(200);
  return answer.body;
}
const idsFor = async (text: string) => (await search(text)).items.map(({ userId }) => userId);

/** The ids of all pages, one after the other. */
async function walk(text: string, limit: number): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: Page = await search(text, `&limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    for (const { userId } of page.items) expect(ids).not.toContain(userId);
    ids.push(...page.items.map(({ userId }) => userId));
    cursor = page.nextCursor;
  }
  return ids;
}

describe('GET /api/accounts', () => {
  const tag = freshUser('s').slice(0, 8);

  it('finds by the beginning of id, name or e-mail, in this order and each account once', async () => {
    await appear(`${tag}-by-id`, 'zoe', `${tag}-both@example.com`);
    await appear(`u-${tag}-1`, `${tag} by name`, `${tag}-too@example.com`);
    await appear(`u-${tag}-2`, 'unnamed', `${tag}.by-mail@example.com`);
    await appear(`u-${tag}-3`, `not ${tag}`, `not-${tag}@example.com`);
    expect(await idsFor(tag)).toEqual([`${tag}-by-id`, `u-${tag}-1`, `u-${tag}-2`]);
    expect(await idsFor(`u-${tag}`)).toEqual([`u-${tag}-1`, `u-${tag}-2`, `u-${tag}-3`]);
  });

  it('does not care for case, and finds names of any script', async () => {
    const userId = freshUser('Ärger');
    await appear(userId, 'ユーザー 😀', `${userId}@Example.com`);
    expect(await idsFor(userId.toUpperCase())).toEqual([userId]);
    expect(await idsFor(userId.toLowerCase().replace('ä', 'Ä'))).toEqual([userId]);
    expect(await idsFor(' ユーザー 😀 ')).toEqual([userId]);
  });

  it('takes every character for itself: nothing is a wildcard', async () => {
    const userId = freshUser('100%_');
    await appear(userId, 'percent', `${userId}@example.com`);
    expect(await idsFor('100%')).toEqual([userId]);
    expect(await idsFor('1%')).toEqual([]);
    expect(await idsFor('100_')).toEqual([]);
    expect(await idsFor(`'; DROP TABLE user_accounts --`)).toEqual([]);
  });

  it('pages through all that is found without repeating or hiding any, across the three fields', async () => {
    const prefix = freshUser('p').slice(0, 7);
    const expected: string[] = [];
    for (let i = 0; i < 4; i++) await appear(`${prefix}${i}`, `${prefix}${i}`, `${prefix}${i}@example.com`);
    for (let i = 0; i < 4; i++)
      await appear(`q${prefix}${i}`, `${prefix.toUpperCase()} name`, `q${prefix}${i}@x.com`);
    for (let i = 0; i < 4; i++) await appear(`r${prefix}${i}`, 'other', `${prefix}-${i}@x.com`);
    for (const first of ['', 'q', 'r']) for (let i = 0; i < 4; i++) expected.push(`${first}${prefix}${i}`);
    for (const limit of [1, 3, 4, 5, 12, 50])
      expect(await walk(prefix, limit), `${limit} a page`).toEqual(expected);
  });

  it.each(['aaa', 'zzz'])(
    'goes on where a page ended when its last account is renamed to %s',
    async (name) => {
      const tag = freshUser('n').slice(0, 9);
      for (let i = 0; i < 4; i++) await appear(`${i}-${tag}`, `${tag}-${i}`, `${i}-${tag}@x.com`);
      const { nextCursor } = await search(tag, '&limit=2');
      await appear(`1-${tag}`, name, `1-${tag}@x.com`);
      const rest = await search(tag, `&limit=2&cursor=${nextCursor}`);
      expect(rest.items.map(({ userId }) => userId)).toEqual([`2-${tag}`, `3-${tag}`]);
    },
  );

  it('lists nothing before what is searched for, whatever the cursor', async () => {
    const cursor = encodeAccountCursor({ found: 1, key: 'a', userId: 'a' });
    const userId = freshUser('zebra');
    await appear(userId, 'stripes', `${userId}@x.com`);
    const { items } = await search(userId.slice(0, 8), `&cursor=${cursor}`);
    expect(items.map((found) => found.userId)).toEqual([userId]);
  });

  it('without a search lists everyone', async () => {
    const { rows } = await service.owner.query<{ user_id: string }>('SELECT user_id FROM user_accounts');
    const everyone = rows.map(({ user_id: userId }) => userId).sort();
    expect((await walk('', 7)).sort()).toEqual(everyone);
  });

  it('finds those whose id, name or e-mail begins or goes on with the last character there is', async () => {
    const last = '\u{10ffff}';
    const id = freshUser(last);
    await appear(id, 'unnamed', `${id}@example.com`);
    await appear(`${tag}-${last}${last}z`, `${last.repeat(3)}z`, `${tag}-last@example.com`);
    expect(await idsFor(last)).toEqual([id, `${tag}-${last}${last}z`]);
    expect(await idsFor(`${tag}-${last}`)).toEqual([`${tag}-${last}${last}z`]);
    expect(await walk(`${tag}-`, 1)).toContain(`${tag}-${last}${last}z`);
    expect(await walk('', 7)).toContain(id);
  });

  it('shows what can be spent and what is held, an expired lot not counted', async () => {
    const user = await userWithCredits(service, 1000, 50);
    await expireLots(service, user, [50]);
    expect((await initialize(user, 's')).status).toBe(201);
    const [found] = (await search(user.userId)).items;
    expect(found).toMatchObject({ userId: user.userId, role: 'user', totalCredits: 996, heldCredits: 4 });
    expect((await boss.get(`/api/accounts/${user.userId}`)).body).toEqual(found);
    expect(found?.totalCredits).toBe((await balanceOf(user)).totalCredits);
  });

  it.each([
    ['garbage', 'cursor=garbage'],
    ['a cursor of another list', `cursor=${Buffer.from('12').toString('base64url')}`],
    ['a field that is none', `cursor=${Buffer.from('[4,"a","a"]').toString('base64url')}`],
    ['a NUL', `cursor=${Buffer.from('[1,"\\u0000","a"]').toString('base64url')}`],
    ['a NUL in the id', `cursor=${Buffer.from('[1,"a","\\u0000"]').toString('base64url')}`],
  ])('refuses a cursor that is none: %s', async (_, query) => {
    expectProblem(await boss.get<object>(`/api/accounts?${query}`), 400, { field: 'cursor' });
  });

  it('refuses a search that is too long or given twice', async () => {
    expectProblem(await boss.get<object>(`/api/accounts?search=${'a'.repeat(256)}`), 400, {
      field: 'search',
    });
    expectProblem(await boss.get<object>('/api/accounts?search=a&search=b'), 400, { field: 'search' });
  });

  it('reads each field as one range of an index, and no other field once the page is full', async () => {
    const { SEARCH } = await import('../../src/account-directory/account-directory.service.js');
    const client = await service.owner.connect();
    const prefix = freshUser('many').slice(0, 8);
    try {
      await client.query(
        `INSERT INTO user_accounts (user_id, username, email)
         SELECT i || $1, i || $1, i || $1 || '@example.com' FROM
           (SELECT $1 || i AS i FROM generate_series(1, 20000) i) n`,
        [prefix],
      );
      await client.query('ANALYZE user_accounts');
      // As after many executions: one plan for whatever is searched.
      await client.query('SET plan_cache_mode = force_generic_plan');
      await client.query(`PREPARE s (text, integer, integer, text, text) AS ${SEARCH.text}`);
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) EXECUTE s ('${prefix}', 51, 0, '', '')`,
      );
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).not.toMatch(/Seq Scan on user_accounts/);
      expect(plan).toMatch(/idx_user_accounts_search_id on user_accounts.* \(actual rows=51\b/);
      expect(plan).toMatch(/idx_user_accounts_search_name on user_accounts.* \(never executed\)/);
      expect(plan).toMatch(/idx_user_accounts_search_email on user_accounts.* \(never executed\)/);
    } finally {
      client.release(true);
    }
  });

  it('looks at a bounded number of accounts for a page, and hides none', async () => {
    const { SEARCH } = await import('../../src/account-directory/account-directory.service.js');
    const prefix = freshUser('same').slice(0, 9);
    const from = (found: 1 | 2, userId: string) =>
      `&cursor=${encodeAccountCursor({ found, key: userId, userId })}`;
    const client = await service.owner.connect();
    try {
      // All but the last are found by their id already.
      await client.query(
        `INSERT INTO user_accounts (user_id, username, email)
         SELECT i, i, i || '@example.com' FROM (SELECT $1 || i AS i FROM generate_series(10000, 34999) i) n`,
        [prefix],
      );
      await client.query('INSERT INTO user_accounts (user_id, username, email) VALUES ($1, $2, $1)', [
        `zz-${prefix}`,
        `${prefix}99999`,
      ]);
      const empty = await search(prefix, from(2, `${prefix}10000`));
      expect(empty).toMatchObject({ items: [], nextCursor: expect.any(String) as string });
      const { items } = await search(prefix, from(1, `${prefix}34998`));
      expect(items.map(({ userId }) => userId)).toEqual([`${prefix}34999`]);
      let page = await search(prefix, from(1, `${prefix}34998`));
      const found = page.items.map(({ userId }) => userId);
      while (page.nextCursor !== null) {
        page = await search(prefix, `&cursor=${page.nextCursor}`);
        found.push(...page.items.map(({ userId }) => userId));
      }
      expect(found).toEqual([`${prefix}34999`, `zz-${prefix}`]);
      await client.query('ANALYZE user_accounts; SET plan_cache_mode = force_generic_plan');
      await client.query(`PREPARE s (text, integer, integer, text, text) AS ${SEARCH.text}`);
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) EXECUTE s ('${prefix}', 51, 2, '${prefix}10000', '${prefix}10000')`,
      );
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).not.toMatch(/Seq Scan on user_accounts/);

      const counts = [...plan.matchAll(/(?:rows=|Removed by Filter: )(\d+)/g)].map(([, count]) =>
        Number(count),
      );
      expect(Math.max(...counts)).toBe(10_000);
      expect(plan).toMatch(/idx_user_accounts_search_email on user_accounts.* \(never executed\)/);
    } finally {
      client.release(true);
    }
  });
});

describe('GET /api/accounts/:userId', () => {
  it('404 for a user never seen', async () => {
    expectProblem(await boss.get<object>(`/api/accounts/${freshUser()}`), 404, { code: 'account.not_found' });
  });

  it('shows what the last token said', async () => {
    const userId = freshUser();
    await appear(userId, 'Ada', `${userId}@example.com`);
    await appear(userId, 'Ada Lovelace', `${userId}@example.com`, 'supervisor');
    const { body } = await boss.get<Account>(`/api/accounts/${userId}`);
    expect(body).toMatchObject({
      username: 'Ada Lovelace',
      role: 'supervisor',
      totalCredits: 0,
      heldCredits: 0,
    });
    expect(body.updatedAt > body.createdAt).toBe(true);
  });
});

describe('GET /api/credits/totals', () => {
  const totals = async () => (await admin.get<Record<string, number>>('/api/credits/totals')).body;

  it('adds up everyone, without what has expired', async () => {
    const before = await totals();
    const user = await userWithCredits(service, 1000, 50);
    await initialize(user, 's');
    // After the last movement: it is not written off.
    await expireLots(service, user, [50]);
    expect(await totals()).toEqual({
      users: (before.users as number) + 1,
      availableCredits: (before.availableCredits as number) + 996,
      heldCredits: (before.heldCredits as number) + 4,
      activeSessions: (before.activeSessions as number) + 1,
    });
  });
});
