import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type SqlFunction, sqlFunctions } from '../../migrations/functions.js';
import { Movements } from '../../src/common/database/movements.js';
import { HOLD } from '../../src/streaming-sessions/sessions.operations.js';
import { type DatabaseProxy, startDatabaseProxy } from '../support/database-proxy.js';
import { waitingForLocks } from '../support/hold-up.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import {
  balanceOf,
  countByStatus,
  expectSoundBooks,
  initialize,
  times,
  userWithCredits,
  SONNET,
} from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';

const SESSIONS = '/api/streaming-sessions';

let direct: TestService;
let service: TestService;
let proxy: DatabaseProxy;
beforeAll(async () => {
  direct = await startService();
});
beforeEach(async () => {
  proxy = await startDatabaseProxy(direct.databaseUrl);
  service = await direct.another({ DATABASE_URL: proxy.url, COMBINE_MOVEMENTS: 'on' });
});
afterEach(async () => {
  await service.close();
  await proxy.close();
  await expectSoundBooks(direct);
});
afterAll(() => direct.close());

/** A user that the instance under test knows already. */
async function knownUser(...lots: number[]): Promise<HttpClient> {
  const user = service.as((await userWithCredits(direct, ...lots)).userId);
  await balanceOf(user);
  return user;
}

/** Another transaction holds these users' balances until the work has been asked for. */
async function whileLocked<T>(users: HttpClient[], ask: () => Promise<T>): Promise<T> {
  const gate = await direct.owner.connect();
  await gate.query('BEGIN');
  await gate.query('SELECT FROM credit_balances WHERE account_id = ANY($1) FOR UPDATE', [
    users.map(({ userId }) => userId),
  ]);
  try {
    return await ask();
  } finally {
    await gate.query('ROLLBACK');
    gate.release();
  }
}

/** Sends a request and waits until the database has it. */
async function underWay(request: () => Promise<Answer>): Promise<{ answer: Promise<Answer> }> {
  proxy.taken();
  const answer = request();
  await expect.poll(() => proxy.taken().length, { interval: 5 }).toBeGreaterThan(0);
  return { answer };
}

/** So many movements wait for their turn. */
const arrived = (count: number, timeout = 20_000) =>
  expect.poll(() => service.get(Movements).size, { interval: 5, timeout }).toBe(count);

/** The first request holds the account, the others wait for it together. */
async function together(user: HttpClient, requests: (() => Promise<Answer>)[]): Promise<Answer[]> {
  const { first, others } = await whileLocked([user], async () => {
    const head = await underWay(() => initialize(user, 'head'));
    const rest = requests.map((request) => request());
    await arrived(requests.length);
    return { first: head.answer, others: rest };
  });
  expect((await first).status).toBe(201);
  return Promise.all(others);
}

describe('movements of one account that wait', () => {
  it('go in one statement, and each caller gets its own answer', async () => {
    const user = await knownUser(4 * 11);
    proxy.taken();
    const answers = await together(
      user,
      Array.from({ length: 30 }, (_, index) => () => initialize(user, `s${index}`)),
    );
    expect(proxy.taken()).toEqual(['movements']);
    expect(countByStatus(answers)).toEqual({ 201: 10, 402: 20 });
    const started = answers.filter(({ status }) => status === 201);
    expect(new Set(started.map(({ body }) => body.sessionId)).size).toBe(10);
    const left = started.map(({ body }) => body.remainingCredits as number);
    expect([...left].sort((a, b) => b - a)).toEqual(Array.from({ length: 10 }, (_, n) => 36 - 4 * n));
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 0, heldCredits: 44 });
  });

  it('may be of every kind, and come in the order in which they were asked for', async () => {
    const user = await knownUser(1000);
    await initialize(user, 'open');
    const answers = await together(user, [
      () => user.post(`${SESSIONS}/progress`, { sessionId: 'open', tokensGenerated: 500 }),
      () => user.post(`${SESSIONS}/finalize`, { sessionId: 'open', actualTokens: 700 }),
      () => user.post(`${SESSIONS}/finalize`, { sessionId: 'head', actualTokens: 700 }),
      () => user.post(`${SESSIONS}/finalize`, { sessionId: 'none', actualTokens: 700 }),
      () =>
        user.post('/api/usage/record', {
          service: 'é\u2028"\\',
          operation: 'o',
          credits: 1,
          metadata: { a: ['é"\\', 1e20, null, true] },
        }),
      () =>
        user.post('/api/usage/charge', {
          requestId: 'r1',
          modelId: 'anthropic.claude-3-sonnet-20240229-v1:0',
          tokens: 1000,
          providerCostUsd: '0.00000123',
        }),
      () => user.post(`${SESSIONS}/abort`, { sessionId: 'open' }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 404, 201, 201, 409]);
    expect(answers[1]?.body).toMatchObject({ actualCredits: 3 });
    expect(answers[4]?.body).toMatchObject({
      service: 'é\u2028"\\',
      metadata: { a: ['é"\\', 1e20, null, true] },
    });
    expect(answers[5]?.body).toMatchObject({ record: { credits: 3, providerCostUsd: '0.00000123' } });
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 1000 - 9, heldCredits: 0 });
  });

  it('go again, in order, when their statement has not come to them in a fifth of a second', async () => {
    const user = await knownUser(1000);
    await direct.owner.query(
      `SELECT count(credit_allocate($1::text, jsonb_build_object('accountId', $1::text, 'credits', 1, 'expiryDays', 30, 'actor', 'root')))
         FROM generate_series(1, 999)`,
      [user.userId],
    );
    // Each hold takes all of 999 lots, each abort gives them back.
    const estimatedTokens = 550_000;
    const answers = await together(
      user,
      Array.from({ length: 5 }).flatMap((_, index) => [
        () => initialize(user, `all-${index}`, { estimatedTokens }),
        () => user.post(`${SESSIONS}/abort`, { sessionId: `all-${index}`, tokensGenerated: 0 }),
      ]),
    );
    expect(countByStatus(answers)).toEqual({ 200: 5, 201: 5 });
    expect(proxy.taken().filter((statement) => statement === 'movements').length).toBeGreaterThan(1);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 1995, heldCredits: 4 });
  });

  it('carry every field of their requests, also one that was only just added', async () => {
    const user = await knownUser(1000);
    const { text } = sqlFunctions().find(({ name }) => name === 'session_hold') as SqlFunction;
    const withLabel = text
      .replace('(account_id, user_id, session_id,', '(label, account_id, user_id, session_id,')
      .replace(
        '(p_account, p_user, p_session, p_model,',
        `(p ->> 'label', p_account, p_user, p_session, p_model,`,
      );
    await direct.owner.query('ALTER TABLE streaming_sessions ADD COLUMN label TEXT');
    await direct.owner.query(withLabel);
    try {
      const hold = (sessionId: string) =>
        service.get(Movements).run(HOLD, {
          ...{ accountId: user.userId, userId: user.userId, sessionId, actor: user.userId, apiKeyId: null },
          ...{
            modelId: SONNET,
            estimatedTokens: 10,
            estimatedInputTokens: undefined,
            estimatedOutputTokens: undefined,
          },
          ...{ bufferPercent: 20, leaseSeconds: 900, rejectUnpriced: false },
          ...{ label: `of ${sessionId}` },
        });
      const answers = await whileLocked([user], async () => {
        proxy.taken();
        const head = hold('alone');
        await expect.poll(() => proxy.taken().length, { interval: 5 }).toBeGreaterThan(0);
        const rest = [hold('with others'), hold('with another')];
        await arrived(2);
        return [head, ...rest];
      });
      for (const { outcome } of await Promise.all(answers)) expect(outcome).toBe('created');
      expect(proxy.taken()).toEqual(['movements']);
      const { rows } = await direct.owner.query<{ session_id: string; label: string }>(
        'SELECT session_id, label FROM streaming_sessions WHERE account_id = $1 ORDER BY id',
        [user.userId],
      );
      expect(rows.map(({ session_id, label }) => [session_id, label])).toEqual([
        ['alone', 'of alone'],
        ['with others', 'of with others'],
        ['with another', 'of with another'],
      ]);
    } finally {
      await direct.owner.query('ALTER TABLE streaming_sessions DROP COLUMN label');
      await direct.owner.query(text);
    }
  });

  it('end at the maximum age of a session like those that go alone', async () => {
    const user = await knownUser(1000);
    await initialize(user, 'old');
    await direct.owner.query(
      `UPDATE streaming_sessions SET started_at = now() - interval '1 day' WHERE session_id = 'old'`,
    );
    const [answer] = await together(
      user,
      ['old', 'head'].map(
        (sessionId) => () => user.post(`${SESSIONS}/progress`, { sessionId, tokensGenerated: 500 }),
      ),
    );
    expect([answer?.status, answer?.body.code]).toEqual([409, 'session.already_ended']);
  });

  it('of the same session or the same idempotency key are one', async () => {
    const user = await knownUser(1000);
    const record = { service: 's', operation: 'o', credits: 1 };
    const answers = await together(user, [
      ...Array.from({ length: 5 }, () => () => initialize(user, 'same')),
      ...Array.from(
        { length: 5 },
        () => () => user.post('/api/usage/record', record, { 'idempotency-key': 'k' }),
      ),
      () => user.post('/api/usage/record', { ...record, credits: 2 }, { 'idempotency-key': 'k' }),
    ]);
    expect(countByStatus(answers)).toEqual({ 200: 4, 201: 6, 422: 1 });
    expect((await user.get('/api/usage/stats')).body).toMatchObject({ totalRecords: 1 });
  });

  it('are answered after a combined statement that took longer than its lane is kept for', async () => {
    const user = await knownUser(1000);
    const first = await whileLocked([user], async () => {
      const head = await underWay(() => initialize(user, 's1'));
      const rest = [initialize(user, 's2'), initialize(user, 's3')];
      await arrived(2);
      return [head.answer, ...rest];
    });
    // The two go together now, and the lock is taken again before they are done.
    const answers = await whileLocked([user], async () => {
      const all = [...first, initialize(user, 's4')];
      await new Promise((passed) => setTimeout(passed, 500));
      return all;
    });
    expect(countByStatus(await Promise.all(answers))).toEqual({ 201: 4 });
  });

  it('are 503 after the limit on waiting, however long the statement before them takes', async () => {
    const user = await knownUser(1000);
    await direct.owner.query(`
      CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$;
      CREATE TRIGGER pause BEFORE INSERT ON streaming_sessions FOR EACH ROW
        WHEN (NEW.account_id = '${user.userId}' AND NEW.session_id = 'head') EXECUTE FUNCTION pause()`);
    const { answer: head } = await underWay(() => initialize(user, 'head'));
    // DB_CONNECT_TIMEOUT_MS is 3 s.
    const late = await initialize(user, 'late');
    expectProblem(late, 503, { code: 'service.unavailable' });
    expect((await head).status).toBe(201);
    expect((await initialize(user, 'late')).status).toBe(201);
  });

  it('are 503 when the connection breaks under them; asked again each is there once', async () => {
    const user = await knownUser(1000);
    const body = (requestId: string) => ({ requestId, modelId: 'none', tokens: 1000 });
    const charge = (n: number) => user.post('/api/usage/charge', body(`r${n}`));
    const answers = await whileLocked([user], async () => {
      const head = await underWay(() => initialize(user, 'head'));
      const rest = Array.from({ length: 10 }, (_, n) => charge(n));
      await arrived(10);
      proxy.cut();
      return [head.answer, ...rest];
    });
    expect(countByStatus(await Promise.all(answers))).toEqual({ 503: 11 });
    proxy.restore();
    const again = await times(10, charge);
    expect(countByStatus(again)).toEqual({ 201: 10 });
    expect((await user.get('/api/usage/stats')).body).toMatchObject({ totalRecords: 10 });
  });
});

// A lane is free again after a quarter of a second: where the machine takes longer to fill all of them, once more.
describe('movements of several accounts that go together', { retry: 3 }, () => {
  /** Statements under way at once (LANES of src/common/database/movements.ts). */
  const LANES = 4;

  /** Fills every lane, and lets the others' requests wait until then. */
  async function behindFullLanes(requests: (() => Promise<Answer>)[]): Promise<Answer[]> {
    const blockers = await Promise.all(Array.from({ length: LANES }, () => knownUser(100)));
    const { heads, rest } = await whileLocked(blockers, async () => {
      const first: Promise<Answer>[] = [];
      for (const blocker of blockers) first.push((await underWay(() => initialize(blocker, 'head'))).answer);
      const others = requests.map((request) => request());
      await arrived(requests.length, 3000);
      return { heads: first, rest: others };
    });
    expect(countByStatus(await Promise.all(heads))).toEqual({ 201: LANES });
    return Promise.all(rest);
  }

  it('are one statement', async () => {
    const users = await Promise.all(Array.from({ length: 12 }, () => knownUser(100)));
    proxy.taken();
    const answers = await behindFullLanes(users.map((user) => () => initialize(user, 's')));
    expect(countByStatus(answers)).toEqual({ 201: 12 });
    expect(proxy.taken()).toEqual(['movements']);
  });

  it('carry out the ends of sessions first, but after earlier movements of the same session', async () => {
    const [user, other] = [await knownUser(4), await knownUser(100)];
    for (const each of [user, other]) expect((await initialize(each, 'first')).status).toBe(201);
    const end = (each: HttpClient, tokens: number) => () =>
      each.post(`${SESSIONS}/finalize`, { sessionId: 'first', actualTokens: tokens, success: true });
    const report = () => other.post(`${SESSIONS}/progress`, { sessionId: 'first', tokensGenerated: 10 });
    const answers = await behindFullLanes([
      () => initialize(user, 'second'),
      end(user, 0),
      report,
      end(other, 10),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200, 200]);
  });

  it('lock their accounts in the order of their bytes, however they are sent', async () => {
    const [upper, lower] = ['Z', 'a'].map((first) => direct.as(freshUser(first))) as [HttpClient, HttpClient];
    const boss = direct.as('boss', { role: 'supervisor' });
    for (const { userId } of [upper, lower])
      await boss.post('/api/credits/allocate', { userId, credits: 100 });
    const deductions = [lower, upper].map(({ userId }) => ({
      ...{ operation: 'credit_deduct', accountId: userId, credits: 1, notes: 'x', actor: 'root' },
    }));
    const { together } = await whileLocked([upper], async () => {
      const together = direct.owner.query('SELECT movements($1, $2, 0)', [
        lower.userId,
        JSON.stringify(deductions),
      ]);
      await expect.poll(() => waitingForLocks(direct)).toBe(1);
      // Capital letters come first: what waits for them has not locked the other one yet.
      await direct.owner.query('SELECT FROM credit_balances WHERE account_id = $1 FOR UPDATE NOWAIT', [
        lower.userId,
      ]);
      return { together };
    });
    await together;
  });

  it('an account with broken books fails alone', async () => {
    const users = await Promise.all(Array.from({ length: 6 }, () => knownUser(100)));
    const broken = users[3] as HttpClient;
    const balance = (change: number) =>
      direct.owner.query('UPDATE credit_balances SET available = available + $2 WHERE account_id = $1', [
        broken.userId,
        change,
      ]);
    await balance(100);
    const answers = await behindFullLanes(
      users.map((user) => () => initialize(user, 's', { estimatedTokens: 50_000 })),
    ).finally(() => balance(-100));
    expect(answers.map(({ status }) => status)).toEqual([402, 402, 402, 500, 402, 402]);
    const small = await behindFullLanes(users.map((user) => () => initialize(user, 's')));
    expect(countByStatus(small)).toEqual({ 201: 6 });
  });

  it('an account that another transaction has locked keeps only itself waiting', async () => {
    const users = await Promise.all(Array.from({ length: 6 }, () => knownUser(100)));
    const held = users[2] as HttpClient;
    const others = users.filter((user) => user !== held);
    const { waiting } = await whileLocked([held], async () => {
      const answers = new Map(users.map((user) => [user, undefined as Promise<Answer> | undefined]));
      const all = behindFullLanes(
        users.map((user) => () => {
          const answer = initialize(user, 's');
          answers.set(user, answer);
          return answer;
        }),
      );
      const free = await expect
        .poll(() => others.every((user) => answers.get(user) !== undefined))
        .toBe(true)
        .then(() => Promise.all(others.map((user) => answers.get(user) as Promise<Answer>)));
      expect(countByStatus(free)).toEqual({ 201: 5 });
      return { waiting: all };
    });
    expect(countByStatus(await waiting)).toEqual({ 201: 6 });
  });
});

describe('one request alone', () => {
  it('is a statement of its own, at once', async () => {
    const user = await knownUser(100);
    proxy.taken();
    await initialize(user, 's');
    expect(proxy.taken()).toEqual(['session_hold']);
  });
});

describe('COMBINE_MOVEMENTS=off', () => {
  it('sends each movement by itself', async () => {
    const apart = await direct.another({ DATABASE_URL: proxy.url, COMBINE_MOVEMENTS: 'off' });
    const user = await knownUser(1000);
    await apart.as(user.userId).get('/api/credits/balance');
    proxy.taken();
    const answers = await times(20, (n) => initialize(apart.as(user.userId), `s${n}`));
    expect(countByStatus(answers)).toEqual({ 201: 20 });
    expect(proxy.taken()).toEqual(Array.from({ length: 20 }, () => 'session_hold'));
    await apart.close();
  });
});
