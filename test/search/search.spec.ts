// @module-tag cluster
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EVERYTHING } from '../../src/search/search.service.js';
import { wordQuery } from '../../src/search/words.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import { initialize, SONNET } from '../support/money.js';
import { organisation, type TestOrganisation } from '../support/organisations.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';

interface Result {
  kind: string;
  id: string;
  name: string;
  detail: string | null;
  accountId: string | null;
  userId: string | null;
  recordId: number | null;
}
interface Results {
  items: Result[];
  hasMore: boolean;
}

const TAG = freshUser('t').slice(2, 10);
const ANNA = `a1-${TAG}`;
const BERT = `b2-${TAG}`;

let service: TestService;
let boss: HttpClient;
let anna: HttpClient;
let bert: HttpClient;
let org: TestOrganisation;
let annasKey: { id: number; keyHint: string };

beforeAll(async () => {
  service = await startService();
  boss = service.as('boss', { role: 'supervisor' });
  anna = service.as(ANNA, { username: 'Anna van Dijk', email: `van.dijk.${TAG}@example.com` });
  bert = service.as(BERT, { username: 'Bert O’Hara', email: `bert.${TAG}@example.org` });
  for (const user of [anna, bert]) {
    expect((await user.get('/api/credits/balance')).status).toBe(200);
    const lot = { userId: user.userId, credits: 1000 };
    expect((await boss.post('/api/credits/allocate', lot)).status).toBe(201);
    for (const state of ['open', 'over']) {
      expect((await initialize(user, `chat_${state}-${user.userId}`)).status).toBe(201);
    }
    const end = { sessionId: `chat_over-${user.userId}`, actualTokens: 100 };
    expect((await user.post('/api/streaming-sessions/finalize', end)).status).toBe(200);
    const call = { requestId: `call%_${user.userId}`, modelId: SONNET, tokens: 10 };
    expect((await user.post('/api/usage/charge', call)).status).toBe(201);
  }
  annasKey = (await anna.post<typeof annasKey>('/api/api-keys', { name: `Night batch ${TAG}` })).body;
  org = await organisation(service, `Harbour Crane ${TAG}`);
  await org.member('member', { userId: ANNA });
});
afterAll(() => service.close());

const ask = (user: HttpClient, q: string, more = ''): Promise<Answer<Results>> =>
  user.get<Results>(`/api/search?q=${encodeURIComponent(q)}${more}`);
/** Such as `user alice`, in the order of the answer. */
async function found(user: HttpClient, q: string, more = ''): Promise<string[]> {
  const answer = await ask(user, q, more);
  expect(answer.status, answer.text).toBe(200);
  return answer.body.items.map(({ kind, id }) => `${kind} ${id}`);
}

describe('GET /api/search, for supervisors', () => {
  it.each([
    ['a word of a name', 'dijk', ANNA],
    ['several words in any order, each by how it begins', 'DIJ ann', ANNA],
    ['a part of an e-mail', `org ${TAG}`, BERT],
    ['a whole e-mail', `bert.${TAG}@example.org`, BERT],
    ['a whole id', ANNA, ANNA],
    ['a word with an apostrophe', 'o’hara', BERT],
  ])('finds a user by %s', async (_, q, userId) => {
    const users = (await found(boss, q)).filter((result) => result.startsWith('user '));
    expect(users).toEqual([`user ${userId}`]);
  });

  it('does not find by the middle of a word, nor where one of several words is missing', async () => {
    expect(await found(boss, `ijk ${TAG}`)).toEqual([]);
    expect(await found(boss, `dijk nobody-${TAG}`)).toEqual([]);
  });

  it('finds organisations, models and API keys, the keys also by the end that their hint shows', async () => {
    expect(await found(boss, `crane ${TAG}`)).toEqual([`organisation ${org.id}`]);
    expect(await found(boss, 'sonnet 2024')).toEqual([`model ${SONNET}`]);
    for (const q of [`batch ${TAG}`, annasKey.keyHint, annasKey.keyHint.slice(-4)])
      expect(await found(boss, q), q).toContain(`api_key ${annasKey.id}`);
  });

  it('finds sessions and requests of everyone by how their id begins, each with its record', async () => {
    const sessions = [...(await found(boss, `chat_o`, '&limit=20'))].sort();
    expect(sessions).toEqual(
      [ANNA, BERT].flatMap((user) => [`session chat_open-${user}`, `session chat_over-${user}`]).sort(),
    );
    expect(await found(boss, `call%_${BERT}`)).toEqual([`request call%_${BERT}`]);
    const [over] = (await ask(boss, `chat_over-${ANNA}`)).body.items;
    const record = await boss.get(`/api/usage/records/${over?.recordId}`);
    expect(record.body).toMatchObject({ sessionId: `chat_over-${ANNA}`, userId: ANNA });
    expect(over).toMatchObject({ accountId: ANNA, userId: ANNA });
  });

  it('takes % and _ for themselves', async () => {
    for (const q of ['%%', '__', 'chat%open', 'chat_%', `'; DROP TABLE user_accounts --`])
      expect(await found(boss, q), q).toEqual([]);
    // Signs between words are no operators of a text search.
    for (const q of [`dijk':* | 'bert`, `dijk | bert`, `!dijk\\' bert`])
      expect(await found(boss, q), q).toEqual([]);
    expect(await found(boss, `\\'dijk':*`)).toEqual([`user ${ANNA}`]);
    expect(await found(boss, 'call%_')).toHaveLength(2);
    expect(await found(boss, 'call__')).toEqual([]);
  });

  it('returns so many of each kind, and says when there is more', async () => {
    const { items, hasMore } = (await ask(boss, TAG, '&limit=1')).body;
    expect(items.map(({ kind }) => kind)).toEqual(['user', 'organisation', 'api_key']);
    expect(hasMore).toBe(true);
    expect((await ask(boss, TAG, '&limit=20')).body.hasMore).toBe(false);
  });

  // The coordinator of a cluster does not say how the other servers find rows.
  it.skipIf(process.env['TEST_CITUS'])(
    'asks the indexes of words with the very expressions that they are made of',
    async () => {
      const client = await service.owner.connect();
      try {
        // The tables are small: their indexes are taken only where nothing else may be.
        await client.query('SET enable_seqscan = off');
        await client.query('SET enable_indexscan = off');
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(
          `EXPLAIN (COSTS OFF) ${EVERYTHING.text
            .replaceAll('$1', `'anna'`)
            .replaceAll('$2', client.escapeLiteral(wordQuery('anna') ?? ''))
            .replaceAll('$3', '6')}`,
        );
        const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        for (const index of ['user_accounts_words', 'organisations_words', 'pricing_words', 'api_keys_words'])
          expect(plan).toContain(`Bitmap Index Scan on idx_${index}`);
        for (const index of [
          'user_accounts_search_id',
          'user_accounts_search_name',
          'user_accounts_search_email',
        ])
          expect(plan).toMatch(new RegExp(`on idx_${index}\\n +Index Cond: .*>= 'anna'`));
      } finally {
        client.release(true);
      }
    },
  );

  it('finds a word that all users have', async () => {
    await service.owner.query(
      `INSERT INTO user_accounts (user_id, username, email)
       SELECT 'many-' || i, 'Jo', i || '@all.example' FROM generate_series(1, 3000) i`,
    );
    expect(await found(boss, 'all')).toHaveLength(5);
    expect(await found(boss, 'all 2999')).toEqual(['user many-2999']);
  });
});

describe('GET /api/search, for users', () => {
  it('finds themselves, and no other user', async () => {
    for (const q of ['dijk', ANNA, `van.dijk.${TAG}@example.com`])
      expect(await found(anna, q), q).toContain(`user ${ANNA}`);
    for (const q of [BERT, 'bert', `bert.${TAG}@example.org`, 'example org'])
      expect(await found(anna, q), q).toEqual([]);
  });

  it('finds what is theirs by the word that finds it, and not what is another’s', async () => {
    const own = [`user ${ANNA}`, `organisation ${org.id}`, `api_key ${annasKey.id}`];
    expect(await found(anna, TAG, '&limit=20')).toEqual(own);
    expect(await found(bert, TAG, '&limit=20')).toEqual([`user ${BERT}`]);
    expect(await found(bert, annasKey.keyHint)).toEqual([]);
    expect(await found(anna, 'sonnet 2024')).toEqual([`model ${SONNET}`]);
  });

  it('finds their own sessions and requests only, by how the id begins or by the whole id', async () => {
    expect([...(await found(anna, 'chat_o'))].sort()).toEqual(
      ['open', 'over'].map((state) => `session chat_${state}-${ANNA}`),
    );
    expect(await found(anna, 'call%_')).toEqual([`request call%_${ANNA}`]);
    for (const id of [`chat_open-${BERT}`, `chat_over-${BERT}`, `call%_${BERT}`])
      expect(await found(anna, id), id).toEqual([]);
  });

  it('finds what they spent from an organisation while they are its member', async () => {
    await org.allocate(1000);
    expect((await org.start(anna, `team-${TAG}`)).status).toBe(201);
    expect(await found(anna, `team-${TAG}`)).toEqual([`session team-${TAG}`]);
    expect(await found(org.owner, `team-${TAG}`)).toEqual([]);
    expect((await org.boss.delete(`${org.path}/members/${ANNA}`)).status).toBe(204);
    expect(await found(anna, `team-${TAG}`)).toEqual([]);
    expect(await found(anna, 'crane')).toEqual([]);
  });
});

describe('GET /api/search, 400', () => {
  it.each([
    ['nothing', ''],
    ['spaces', '   '],
    ['one letter', 'a'],
    ['letters alone', 'a b c'],
    ['too many words', 'aa bb cc dd ee ff gg hh ii'],
    ['too long a text', 'a'.repeat(201)],
    ['NUL', 'aa\u0000'],
  ])('refuses %s and names the field', async (_, q) => {
    expectProblem(await ask(boss, q), 400, { field: 'q' });
    expectProblem(await ask(anna, q), 400, { field: 'q' });
  });

  it('refuses a limit beyond 1 to 20, no text and two', async () => {
    for (const limit of [0, 21])
      expectProblem(await ask(boss, 'anna', `&limit=${limit}`), 400, { field: 'limit' });
    expectProblem(await boss.get<object>('/api/search'), 400, { field: 'q' });
    expectProblem(await ask(boss, 'anna', '&q=bert'), 400, { field: 'q' });
  });
});
