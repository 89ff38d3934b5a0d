// @module-tag one-by-one
// @module-tag pooler
// @module-tag two-instances
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allocateCredits } from '../support/sql.js';
import { CreditsSweeper } from '../../src/credits/credits.sweeper.js';
import { parseCsv } from '../support/csv.js';
import type { Answer, HttpClient } from '../support/http-client.js';
import {
  balanceOf,
  countByStatus,
  expectSoundBooks,
  expireLots,
  initialize,
  ledgerOf,
  times,
  userWithCredits,
} from '../support/money.js';
import { organisation } from '../support/organisations.js';
import { freshUser, startService, type TestService } from '../support/service.js';

const ALLOCATE = '/api/credits/allocate';
const DEDUCT = '/api/credits/deduct';

let service: TestService;
let root: HttpClient;
let boss: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  boss = service.as('boss', { role: 'supervisor' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

describe('POST /credits/allocate', () => {
  it('201: gives a lot of its own with its own expiry, 30 days when nothing is said', async () => {
    const user = await userWithCredits(service);
    const answer = await boss.post(ALLOCATE, {
      userId: user.userId,
      credits: 1000,
      notes: 'May 🎉\nsecond line',
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      userId: user.userId,
      totalCredits: 1000,
      remainingCredits: 1000,
      allocatedBy: 'boss',
      notes: 'May 🎉\nsecond line',
    });
    const { allocatedAt, expiresAt } = answer.body as Record<string, string>;
    expect(Date.parse(expiresAt as string) - Date.parse(allocatedAt as string)).toBe(30 * 86_400_000);
    const lot = { id: answer.body.id, credits: 1000, totalCredits: 1000, expiresAt, allocatedAt };
    expect((await balanceOf(user)).activeAllocations).toEqual([lot]);
    expect(await ledgerOf(user)).toMatchObject([
      { kind: 'allocation', credits: 1000, balanceAfter: 1000, allocationId: answer.body.id, actor: 'boss' },
    ]);
  });

  it('201: creates a user not yet seen when e-mail and name come along; their first token takes over', async () => {
    const userId = freshUser('new');
    const body = { userId, credits: 5, email: `${userId}@example.com`, username: 'New' };
    expect((await boss.post(ALLOCATE, body)).status).toBe(201);
    expect((await balanceOf(service.as(userId))).totalCredits).toBe(5);
  });

  it('201: creates the account of a user who was never seen, and says so once', async () => {
    const userId = freshUser('unknown');
    const first = await boss.post(ALLOCATE, { userId, credits: 5 });
    expect([first.status, first.body]).toMatchObject([
      201,
      { userId, accountId: userId, accountCreated: true },
    ]);
    const second = await boss.post(ALLOCATE, { userId, credits: 5 });
    expect([second.status, second.body]).toMatchObject([201, { accountCreated: false }]);
    const account = await boss.get(`/api/accounts/${userId}`);
    expect([account.status, account.body]).toMatchObject([
      200,
      { userId, username: userId, email: null, totalCredits: 10 },
    ]);
    // The user's first token names them.
    await service.as(userId).get('/api/credits/balance');
    expect((await boss.get(`/api/accounts/${userId}`)).body).toMatchObject({
      email: `${userId}@example.com`,
    });
  });

  it('creates a new user once when many allocate to them at the same moment, and refuses none of them', async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const userId = freshUser('at-once');
      const answers = await times(5, () =>
        service.owner.query<{ answer: { outcome: string; accountCreated: boolean } }>(
          `SELECT ${allocateCredits('$1::text', '5', '30', `$1::text || '@x'`, `'x'`)} AS answer`,
          [userId],
        ),
      );
      for (const { rows } of answers) outcomes.add(rows[0]?.answer.outcome ?? 'none');
      expect(answers.filter(({ rows }) => rows[0]?.answer.accountCreated)).toHaveLength(1);
    }
    expect([...outcomes]).toEqual(['ok']);
  });

  it("409: does not take another account's e-mail for a new user", async () => {
    const user = await userWithCredits(service);
    const answer = await boss.post(ALLOCATE, {
      userId: freshUser('thief'),
      credits: 5,
      email: `${user.userId}@example.com`,
      username: 'x',
    });
    expect([answer.status, answer.body.code]).toEqual([409, 'account.email_taken']);
  });

  describe('of a user with 1,000 open lots', () => {
    const give = (user: HttpClient, count: number, days = 30) =>
      service.owner.query(
        `SELECT count(${allocateCredits('$1::text', '1', '$3::integer')}) FROM generate_series(1, $2)`,
        [user.userId, count, days],
      );
    const allocate = (user: HttpClient) => boss.post(ALLOCATE, { userId: user.userId, credits: 1 });
    const refused = [409, 'credits.too_many_allocations'];
    const outcome = ({ status, body }: Answer) => (status === 201 ? 201 : [status, body.code]);

    it('409: refuses another one, and says what helps: a larger lot, an expiry, a revocation, use', async () => {
      const user = await userWithCredits(service, 1);
      await give(user, 998);
      const last = await boss.post(ALLOCATE, { userId: user.userId, credits: 1, expiryDays: 1 });
      expect(last.status).toBe(201);
      const answer = await allocate(user);
      expect(outcome(answer)).toEqual(refused);
      expect(answer.body.detail).toMatch(/expires.*revoke.*larger/);
      expect(await balanceOf(user)).toMatchObject({ totalCredits: 1000 });
      expect((await root.post(`/api/credits/allocations/${String(last.body.id)}/revoke`)).status).toBe(200);
      expect(outcome(await allocate(user))).toBe(201);
      expect(outcome(await allocate(user))).toEqual(refused);
      await root.post('/api/credits/deduct', { userId: user.userId, credits: 1, notes: 'used' });
      expect(outcome(await allocate(user))).toBe(201);
      expect(outcome(await allocate(user))).toEqual(refused);
      await service.owner.query(
        `WITH due AS (UPDATE credit_allocations SET expires_at = now() - interval '1 second'
            WHERE (account_id, id) IN (SELECT account_id, max(id) FROM credit_allocations WHERE account_id = $1 GROUP BY account_id))
         UPDATE credit_balances SET next_expiry = now() - interval '1 second' WHERE account_id = $1`,
        [user.userId],
      );
      expect(outcome(await allocate(user))).toBe(201);
    });

    it('counts lots that are empty only because a session holds their credits, and no others', async () => {
      const user = await userWithCredits(service, 1);
      await give(user, 999);
      // 999 of 1,000 lots: 832.5 credits and 20 %.
      await user.post('/api/streaming-sessions/initialize', {
        sessionId: 's',
        modelId: 'unpriced',
        estimatedTokens: 832_000,
      });
      expect((await balanceOf(user)).activeAllocations).toHaveLength(1);
      expect(outcome(await allocate(user))).toEqual(refused);
      await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 700_000 });
      expect((await balanceOf(user)).activeAllocations).toHaveLength(300);
      expect(outcome(await allocate(user))).toBe(201);
    });

    it('is exact when many allocate at once', async () => {
      const user = await userWithCredits(service, 1);
      await give(user, 989);
      const answers = await times(30, () => allocate(user));
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
      expect(new Set(answers.filter(({ status }) => status !== 201).map(({ body }) => body.code))).toEqual(
        new Set(['credits.too_many_allocations']),
      );
      expect((await balanceOf(user)).activeAllocations).toHaveLength(1000);
    });

    it('repeats an answer under its Idempotency-Key however many lots there are by then', async () => {
      const user = await userWithCredits(service, 1);
      await give(user, 998);
      const body = { userId: user.userId, credits: 1 };
      const first = await boss.post(ALLOCATE, body, { 'idempotency-key': 'the-last-lot' });
      expect(first.status).toBe(201);
      expect((await boss.post(ALLOCATE, body, { 'idempotency-key': 'the-last-lot' })).body).toEqual(
        first.body,
      );
      expect(outcome(await allocate(user))).toEqual(refused);
    });
  });

  it('422: keeps every balance exact as a JSON number', async () => {
    const user = await userWithCredits(service);
    await service.owner.query(
      `WITH lot AS (INSERT INTO credit_allocations (account_id, total_credits, remaining_credits, allocated_by, expires_at)
         VALUES ($1, 8999999999999999, 8999999999999999, 'test', now() + interval '1 day') RETURNING id),
       entry AS (INSERT INTO credit_ledger (account_id, kind, credits, balance_after, allocation_id, actor, created_at)
         SELECT $1, 'allocation', 8999999999999999, 8999999999999999, id, 'test', now() FROM lot)
       UPDATE credit_balances SET available = 8999999999999999 WHERE account_id = $1`,
      [user.userId],
    );
    expect((await boss.post(ALLOCATE, { userId: user.userId, credits: 1 })).status).toBe(201);
    const answer = await boss.post(ALLOCATE, { userId: user.userId, credits: 1 });
    expect([answer.status, answer.body.code]).toEqual([422, 'credits.balance_limit']);
    expect((await balanceOf(user)).totalCredits).toBe(9_000_000_000_000_000);
  });

  it('gives credits once for 20 parallel requests under one Idempotency-Key, and 20 equal answers', async () => {
    const user = await userWithCredits(service);
    const headers = { 'idempotency-key': `top-up-${user.userId}` };
    const body = { userId: user.userId, credits: 10 };
    const answers = await times(20, () => boss.post(ALLOCATE, body, headers));
    expect(countByStatus(answers)).toEqual({ 201: 20 });
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
    expect(answers.filter((answer) => answer.headers.has('idempotency-replayed'))).toHaveLength(19);
    expect((await balanceOf(user)).totalCredits).toBe(10);
  });

  it('422: refuses a used Idempotency-Key with another body or another operation, and moves nothing', async () => {
    const user = await userWithCredits(service);
    const headers = { 'idempotency-key': `key-${user.userId}` };
    const body = { userId: user.userId, credits: 10 };
    await root.post(ALLOCATE, body, headers);
    const refused = [
      await root.post(ALLOCATE, { ...body, credits: 11 }, headers),
      await root.post(ALLOCATE, { ...body, expiryDays: 31 }, headers),
      await root.post(DEDUCT, { ...body, notes: 'x' }, headers),
    ];
    expect(refused.map((answer) => [answer.status, answer.body.code])).toEqual(
      Array(3).fill([422, 'idempotency.mismatch']),
    );
    // Defaults are part of what was asked: naming them is the same request.
    expect((await root.post(ALLOCATE, { expiryDays: 30, ...body }, headers)).status).toBe(201);
    expect((await balanceOf(user)).totalCredits).toBe(10);
  });

  it("does not mix up two callers' Idempotency-Keys", async () => {
    const user = await userWithCredits(service);
    const headers = { 'idempotency-key': 'the same' };
    for (const caller of [boss, root]) {
      const answer = await caller.post(ALLOCATE, { userId: user.userId, credits: 3 }, headers);
      expect(answer.status).toBe(201);
      expect(answer.headers.get('idempotency-replayed')).toBeNull();
    }
    expect((await balanceOf(user)).totalCredits).toBe(6);
  });

  it('lets a refused request be repeated under its key once it can succeed', async () => {
    const user = await userWithCredits(service, 5);
    const headers = { 'idempotency-key': `later-${user.userId}` };
    const body = { userId: user.userId, credits: 8, notes: 'x' };
    expect((await root.post(DEDUCT, body, headers)).status).toBe(402);
    await boss.post(ALLOCATE, { userId: user.userId, credits: 5 });
    expect((await root.post(DEDUCT, body, headers)).status).toBe(200);
    expect((await balanceOf(user)).totalCredits).toBe(2);
  });
});

describe('spending order', () => {
  it('takes from the lot that expires first, then from the oldest', async () => {
    const user = await userWithCredits(service);
    const give = async (credits: number, expiryDays: number) =>
      (await boss.post<{ id: number }>(ALLOCATE, { userId: user.userId, credits, expiryDays })).body.id;
    const late = await give(10, 60);
    const early = await give(10, 10);
    const twin = await give(10, 20);
    const twinToo = await give(10, 20);
    // Two lots of one instant: the older one first.
    await service.owner.query(
      `UPDATE credit_allocations SET expires_at = (SELECT expires_at FROM credit_allocations WHERE id = $1) WHERE id = $2`,
      [twin, twinToo],
    );
    await root.post(DEDUCT, { userId: user.userId, credits: 35, notes: 'x' });
    const taken = (await ledgerOf(user)).filter(({ kind }) => kind === 'deduction').reverse();
    expect(taken.map(({ allocationId, credits }) => [allocationId, credits])).toEqual([
      [early, -10],
      [twin, -10],
      [twinToo, -10],
      [late, -5],
    ]);
    expect((await balanceOf(user)).activeAllocations.map(({ id }) => id)).toEqual([late]);
  });
});

describe('POST /credits/deduct', () => {
  it('402: takes nothing when it is more than is there', async () => {
    const user = await userWithCredits(service, 5, 5);
    const answer = await root.post(DEDUCT, { userId: user.userId, credits: 11, notes: 'x' });
    expect(answer.status).toBe(402);
    expect(answer.body).toMatchObject({
      code: 'credits.insufficient',
      requiredCredits: 11,
      availableCredits: 10,
    });
    expect((await balanceOf(user)).totalCredits).toBe(10);
  });

  it('does not touch credits that a session holds', async () => {
    const user = await userWithCredits(service, 10);
    await initialize(user, 's');
    expect((await root.post(DEDUCT, { userId: user.userId, credits: 7, notes: 'x' })).status).toBe(402);
    const answer = await root.post(DEDUCT, { userId: user.userId, credits: 6, notes: 'x' });
    expect(answer.body).toMatchObject({ userId: user.userId, deducted: 6, totalCredits: 0 });
    await user.post('/api/streaming-sessions/abort', { sessionId: 's', tokensGenerated: 0 });
    expect((await balanceOf(user)).totalCredits).toBe(4);
  });
});

describe('POST /credits/allocations/:id/revoke', () => {
  it('200: empties one lot, leaves the others, and answers the same again', async () => {
    const user = await userWithCredits(service, 10, 20);
    const [lot] = (await balanceOf(user)).activeAllocations;
    const path = `/api/credits/allocations/${lot?.id}/revoke`;
    const first = await root.post(path, { notes: 'by mistake' });
    expect(first.body).toMatchObject({ id: lot?.id, remainingCredits: 0, totalCredits: 10 });
    const second = await root.post(path);
    expect([second.status, second.text]).toEqual([200, first.text]);
    expect((await balanceOf(user)).totalCredits).toBe(20);
    expect((await ledgerOf(user))[0]).toMatchObject({
      kind: 'revocation',
      credits: -10,
      notes: 'by mistake',
    });
  });

  it('404: says so for an id that is no lot', async () => {
    const answer = await root.post('/api/credits/allocations/999999999/revoke');
    expect([answer.status, answer.body.code]).toEqual([404, 'credits.allocation_not_found']);
  });

  it('takes what a session held of the lot when the session gives it back', async () => {
    const user = await userWithCredits(service, 10);
    const [lot] = (await balanceOf(user)).activeAllocations;
    await initialize(user, 's');
    await root.post(`/api/credits/allocations/${lot?.id}/revoke`);
    const settled = await user.post('/api/streaming-sessions/finalize', {
      sessionId: 's',
      actualTokens: 700,
    });
    expect(settled.body).toMatchObject({ actualCredits: 3, refund: 1 });
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 0, heldCredits: 0 });
    expect((await ledgerOf(user)).map(({ kind, credits }) => [kind, credits]).slice(0, 2)).toEqual([
      ['revocation', -1],
      ['refund', 1],
    ]);
  });
});

describe('expiry', () => {
  it('stops counting a lot at its instant, before anyone has written it off', async () => {
    const user = await userWithCredits(service, 10, 20);
    await expireLots(service, user, [10]);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 20 });
    expect((await balanceOf(user)).activeAllocations.map(({ credits }) => credits)).toEqual([20]);
    const check = await user.post('/api/credits/check', { requiredCredits: 21 });
    expect(check.body).toEqual({ hasSufficientCredits: false, requiredCredits: 21, availableCredits: 20 });
    expect((await root.post(DEDUCT, { userId: user.userId, credits: 21, notes: 'x' })).status).toBe(402);
    await expectSoundBooks(service);
  });

  it('writes an expired lot off once, with a ledger entry, however many sweepers run', async () => {
    const user = await userWithCredits(service, 10, 20);
    await expireLots(service, user, [10, 20]);
    const second = await service.another();
    const passes = await Promise.all(
      [service, second, service, second].map((instance) => instance.get(CreditsSweeper).sweep()),
    );
    expect(passes.reduce((sum, { expiredCredits }) => sum + expiredCredits, 0)).toBe(30);
    expect((await ledgerOf(user)).filter(({ kind }) => kind === 'expiry')).toMatchObject([
      { credits: -20, balanceAfter: 0, actor: 'service:accounting' },
      { credits: -10, balanceAfter: 20 },
    ]);
    await second.close();
  });

  it('writes off hundreds of lots at once, in the order in which they expired, each with the balance after it', async () => {
    const user = await userWithCredits(service, 5);
    await service.owner.query(
      `SELECT ${allocateCredits('$1::text', 'n', '1')} FROM generate_series(1, 300) n`,
      [user.userId],
    );
    // The last of them first, and two at the same time.
    await service.owner.query(
      `UPDATE credit_allocations SET expires_at = now() - make_interval(mins => greatest(total_credits, 2)::integer)
        WHERE account_id = $1 AND id > (SELECT min(id) FROM credit_allocations WHERE account_id = $1)`,
      [user.userId],
    );
    await service.owner.query('UPDATE credit_balances SET next_expiry = now() WHERE account_id = $1', [
      user.userId,
    ]);
    expect((await service.get(CreditsSweeper).sweep()).expiredCredits).toBe(45_150);
    const { rows } = await service.owner.query<{ credits: string; balance_after: string }>(
      `SELECT credits, balance_after FROM credit_ledger WHERE account_id = $1 AND kind = 'expiry' ORDER BY id`,
      [user.userId],
    );
    const expired = [...Array.from({ length: 298 }, (_, n) => 300 - n), 1, 2];
    let balance = 45_155;
    expect(rows.map((row) => [Number(row.credits), Number(row.balance_after)])).toEqual(
      expired.map((credits) => [-credits, (balance -= credits)]),
    );
    const events = await service.owner.query<{ credits: number }>(
      `SELECT (data ->> 'credits')::integer AS credits FROM event_outbox
        WHERE account_id = $1 AND type = 'credits.expired' ORDER BY id`,
      [user.userId],
    );
    expect(events.rows.map(({ credits }) => credits)).toEqual(expired);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 5 });
    await expectSoundBooks(service);
  });

  it('is written off by the next movement when no sweeper ever runs', async () => {
    const user = await userWithCredits(service, 10, 20);
    await expireLots(service, user, [10]);
    await initialize(user, 's');
    expect((await ledgerOf(user)).map(({ kind }) => kind).slice(0, 2)).toEqual(['hold', 'expiry']);
    expect(await balanceOf(user)).toMatchObject({ totalCredits: 16, heldCredits: 4 });
  });

  it('sweeps more users than one batch holds', async () => {
    await service.owner.query(
      `INSERT INTO user_accounts (user_id, email, username) SELECT 'many-' || n, 'many-' || n || '@x', 'x' FROM generate_series(1, 250) n`,
    );
    await service.owner.query(
      `INSERT INTO credit_balances (account_id) SELECT 'many-' || n FROM generate_series(1, 250) n`,
    );
    await service.owner.query(
      `SELECT ${allocateCredits(`'many-' || n`, '7', '1')} FROM generate_series(1, 250) n`,
    );
    await service.owner.query(
      `UPDATE credit_allocations SET expires_at = now() WHERE account_id LIKE 'many-%'`,
    );
    await service.owner.query(
      `UPDATE credit_balances SET next_expiry = now() WHERE account_id LIKE 'many-%'`,
    );
    expect((await service.get(CreditsSweeper).sweep()).expiredCredits).toBe(250 * 7);
  });

  it('leaves a busy user to the transaction that holds the lock, and comes back later', async () => {
    const user = await userWithCredits(service, 10);
    await expireLots(service, user, [10]);
    const holder = await service.owner.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM credit_balances WHERE account_id = $1 FOR UPDATE', [user.userId]);
    expect((await service.get(CreditsSweeper).sweep()).expiredCredits).toBe(0);
    await holder.query('ROLLBACK');
    holder.release();
    expect((await service.get(CreditsSweeper).sweep()).expiredCredits).toBe(10);
  });
});

describe('expiry, when it is awkward', () => {
  it('a lot that expires while another is being written off is either counted and spent, or neither', async () => {
    const user = await userWithCredits(service, 10, 100);
    await initialize(user, 'call');
    // Writing off the first lot takes longer than the second has to live.
    await service.owner.query(
      `CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql
       AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN new; END $$`,
    );
    await service.owner.query(
      `CREATE TRIGGER take_time BEFORE INSERT ON credit_ledger FOR EACH ROW
       WHEN (new.kind = 'expiry' AND new.account_id = '${user.userId}') EXECUTE FUNCTION take_time()`,
    );
    await service.owner.query(
      `UPDATE credit_allocations SET expires_at = clock_timestamp() +
         CASE total_credits WHEN 10 THEN interval '0' ELSE interval '200 ms' END WHERE account_id = $1`,
      [user.userId],
    );
    await service.owner.query('UPDATE credit_balances SET next_expiry = now() WHERE account_id = $1', [
      user.userId,
    ]);
    const answer = await user.post('/api/streaming-sessions/finalize', {
      sessionId: 'call',
      actualTokens: 20_000,
    });
    await service.owner.query('DROP TRIGGER take_time ON credit_ledger');
    expect(answer.status, answer.text).toBe(200);
    expect((await balanceOf(user)).totalCredits).toBe(0);
    await expectSoundBooks(service);
  });

  it("a user with broken books does not keep the sweepers from the others'", async () => {
    await service.get(CreditsSweeper).sweep();
    const [broken, sound] = [await userWithCredits(service, 10), await userWithCredits(service, 10)];
    await expireLots(service, broken, [10]);
    await expireLots(service, sound, [10]);
    const setBalance = (credits: number) =>
      service.owner.query('UPDATE credit_balances SET available = $2 WHERE account_id = $1', [
        broken.userId,
        credits,
      ]);
    await setBalance(3);
    expect((await service.get(CreditsSweeper).sweep()).expiredCredits).toBe(10);
    await setBalance(10);
    expect((await service.get(CreditsSweeper).sweep()).expiredCredits).toBe(10);
  });

  it('old idempotency keys are forgotten, however many there are, and young ones are not', async () => {
    await service.owner.query(
      `INSERT INTO idempotency_keys (account_id, caller_id, key, request_hash, response, created_at)
       SELECT 'a', 'old', n::text, sha256('x'), '{}', now() - interval '24 hours' FROM generate_series(1, 3500) n`,
    );
    await service.owner.query(
      `INSERT INTO idempotency_keys (account_id, caller_id, key, request_hash, response, created_at)
       VALUES ('a', 'young', '1', sha256('x'), '{}', now() - interval '23 hours 59 minutes')`,
    );
    expect((await service.get(CreditsSweeper).sweep()).forgottenKeys).toBe(3500);
    const { rows } = await service.owner.query(`SELECT 1 FROM idempotency_keys WHERE caller_id = 'young'`);
    expect(rows).toHaveLength(1);
  });
});

describe('GET /credits/ledger', () => {
  it('lists every change newest first, pages without gaps, and proves itself by the balance after each', async () => {
    const user = await userWithCredits(service, 100);
    for (let index = 0; index < 6; index++) {
      await root.post(DEDUCT, { userId: user.userId, credits: index + 1, notes: `n${index}` });
    }
    const seen: { credits: number; balanceAfter: number }[] = [];
    let cursor = '';
    do {
      const page = await user.get<{ items: typeof seen; nextCursor: string | null }>(
        `/api/credits/ledger?limit=2${cursor}`,
      );
      seen.push(...page.body.items);
      cursor = page.body.nextCursor === null ? '' : `&cursor=${page.body.nextCursor}`;
    } while (cursor !== '');
    expect(seen).toHaveLength(7);
    let balance = 0;
    for (const entry of seen.reverse()) {
      balance += entry.credits;
      expect(entry.balanceAfter).toBe(balance);
    }
    expect(balance).toBe(79);
  });

  it("404: a supervisor learns of a user never seen; a user's own ledger is empty at first", async () => {
    expect((await boss.get(`/api/credits/ledger/${freshUser()}`)).status).toBe(404);
    const user = service.as();
    expect((await user.get('/api/credits/ledger')).body).toEqual({ items: [], nextCursor: null });
  });
});

describe('GET /credits/ledger with Accept: text/csv', () => {
  const asCsv = { accept: 'text/csv' };

  it('is every entry of the list, however many there are', async () => {
    const user = await userWithCredits(service, 5000);
    await service.owner.query('SELECT credit_deduct($1, $2) FROM generate_series(1, 1100)', [
      user.userId,
      JSON.stringify({ credits: 1, notes: '=1+1', actor: 'root' }),
    ]);
    const { headers, text } = await user.get('/api/credits/ledger?limit=2', asCsv);
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(headers.get('content-disposition')).toBe('attachment; filename="ledger.csv"');
    const [names, ...lines] = parseCsv(text);
    expect(lines.map((line) => Number(line[4]))).toEqual(
      Array.from({ length: 1101 }, (_, index) => 3900 + index),
    );
    const [newest] = await ledgerOf(user);
    // No spreadsheet takes a note for a formula.
    const shown = { ...newest, notes: "'=1+1" };
    expect(lines[0]).toEqual(names?.map((name) => String(shown[name as keyof typeof shown] ?? '')));
    expect((await boss.get(`/api/credits/ledger/${user.userId}`, asCsv)).text).toBe(text);
  });

  it('shows members of an organisation what they spent, without its balance', async () => {
    const acme = await organisation(service);
    await acme.allocate(1000);
    const [ann, ben] = [await acme.member('member'), await acme.member('member')];
    for (const [user, id] of [
      [ann, 's1'],
      [ben, 's2'],
    ] as const)
      await acme.start(user, id);
    const address = `/api/credits/ledger?accountId=${acme.id}`;
    const lines = parseCsv((await ann.get(address, asCsv)).text);
    expect(lines.map((line) => line.slice(2, 5))).toEqual([
      ['kind', 'credits', 'balanceAfter'],
      ['hold', '-4', ''],
    ]);
    expect(parseCsv((await acme.owner.get(address, asCsv)).text)).toHaveLength(4);
    expect((await service.as().get(address, asCsv)).status).toBe(404);
  });

  it('is a heading alone where there is nothing; 404 for a user never seen, 400 for a cursor that is none', async () => {
    const user = service.as();
    expect(parseCsv((await user.get('/api/credits/ledger', asCsv)).text)).toHaveLength(1);
    expect((await boss.get(`/api/credits/ledger/${freshUser()}`, asCsv)).status).toBe(404);
    expect((await user.get('/api/credits/ledger?cursor=none', asCsv)).status).toBe(400);
  });
});

describe('GET /credits/balance/:userId', () => {
  it('shows a supervisor what the user sees; 404 for a user never seen', async () => {
    const user = await userWithCredits(service, 10);
    await initialize(user, 's');
    const seen = await boss.get(`/api/credits/balance/${user.userId}`);
    expect(seen.body).toEqual(await balanceOf(user));
    expect((await boss.get(`/api/credits/balance/${freshUser()}`)).status).toBe(404);
  });
});
