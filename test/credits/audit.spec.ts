// @module-tag pooler
import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { StreamingSessionsSweeper } from '../../src/streaming-sessions/streaming-sessions.sweeper.js';
import type { HttpClient } from '../support/http-client.js';
import { AUDIT_CHECKS } from '../../src/credits/credits-audit.checks.js';
import { AUDIT_STATEMENTS, CreditsAuditService } from '../../src/credits/credits-audit.service.js';
import { AccountNotFound, ReportTooLong } from '../../src/common/errors/service-error.js';
import { Database } from '../../src/common/database/database.js';
import { REPAIR } from '../../src/credits/credits.operations.js';
import { balanceOf, endLeases, initialize, ledgerOf, SONNET, userWithCredits } from '../support/money.js';
import { waitingForLocks } from '../support/hold-up.js';
import { expectProblem } from '../support/problems.js';
import { accessToken } from '../support/tokens.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
let root: HttpClient;
let user: HttpClient;
beforeAll(async () => {
  service = await startService();
  root = service.as('root', { role: 'admin' });
  user = await userWithCredits(service, 50, 100);
  // One of everything that the books know.
  const key = await user.post<{ id: number; key: string }>('/api/api-keys', {
    name: 'k',
    permissions: ['sessions:write', 'usage:write'],
  });
  const byKey = service.withHeaders({ 'x-api-key': key.body.key });
  const ofSessions = { scope: 'account', unit: 'sessions', amount: 100 };
  const budget = await user.post<{ id: number }>('/api/budgets', ofSessions);
  for (const more of [{ amount: 3 }, { amount: 4, until: '2999-01-01T00:00:00Z' }]) {
    const raised = await user.post(`/api/budgets/${budget.body.id}/raises`, { reason: 'r', ...more });
    expect(raised.status, raised.text).toBe(201);
  }
  await initialize(byKey, 'active');
  await initialize(byKey, 'ended', { estimatedTokens: 20_000 });
  await user.post('/api/streaming-sessions/finalize', { sessionId: 'ended', actualTokens: 18_000 });
  await initialize(user, 'stale');
  await user.post('/api/streaming-sessions/progress', { sessionId: 'stale', tokensGenerated: 500 });
  await service.owner.query(`UPDATE streaming_sessions SET expires_at = now() WHERE session_id = 'stale'`);
  await service.get(StreamingSessionsSweeper).sweep();
  await byKey.post('/api/usage/charge', { requestId: 'c', modelId: SONNET, tokens: 2000 });
  await user.post('/api/usage/charge', {
    requestId: 'r',
    modelId: SONNET,
    tokens: 1,
    billingStatus: 'needs_review',
  });
  const { rows } = await service.owner.query<{ id: string }>(
    `SELECT id FROM usage_records WHERE request_id = 'r'`,
  );
  const decision = { action: 'bill', version: 1 };
  expect((await root.post(`/api/usage/records/${rows[0]?.id}/review`, decision)).status).toBe(200);
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => service.close());

interface Difference {
  userId: string;
  check: string;
  explanation: string;
  allocationId: number | null;
  sessionId: string | null;
  usageId: number | null;
  ledgerEntryId: number | null;
  periodId: number | null;
  expected: number;
  actual: number;
}
interface Audit extends Record<string, unknown> {
  ok: boolean;
  usersChecked: number;
  differencesFound: number;
  differences: Difference[];
}
const audit = async () => (await root.get<Audit>('/api/credits/audit')).body;

/** Breaks something behind the service's back, in a session where no trigger and no foreign key speaks up. */
async function behindTheBack(statement: string, values: unknown[] = []): Promise<void> {
  const client = await service.owner.connect();
  await client.query('SET session_replication_role = replica');
  await client.query(statement, values);
  await client.query('RESET session_replication_role');
  client.release();
}

describe('GET /credits/audit', () => {
  it('finds nothing wrong with books that the service has kept', async () => {
    expect(await audit()).toMatchObject({ ok: true, differencesFound: 0, differences: [] });
    await expect(service.get(CreditsAuditService).audit('a-typo')).rejects.toThrow(AccountNotFound);
  });

  it('takes fewer users at a time where the checks of a batch take too long', async () => {
    const database = service.get(Database);
    const report = database.report.bind(database);
    const slow = vi.spyOn(database, 'report').mockImplementation((statement, values = []) => {
      const isTooMuch = statement.name === 'credit_audit_check' && values[0] !== values[1];
      return isTooMuch ? Promise.reject(new ReportTooLong()) : report(statement, values);
    });
    expect(await audit()).toMatchObject({ ok: true });
    expect(
      slow.mock.calls.some(([, values = []]) => values[0] === user.userId && values[1] === user.userId),
    ).toBe(true);
  });

  const BREAKS: [
    check: string,
    broken: string,
    mended: string,
    fault: (difference: Difference) => unknown,
  ][] = [
    [
      'available = lots',
      'UPDATE credit_balances SET available = available + 1 WHERE account_id = $1',
      'UPDATE credit_balances SET available = available - 1 WHERE account_id = $1',
      ({ expected, actual }) => actual - expected === 1,
    ],
    [
      'available = ledger',
      `INSERT INTO credit_ledger (account_id, kind, credits, balance_after, allocation_id, actor, created_at)
       SELECT account_id, 'allocation', 7, balance_after + 7, allocation_id, 'x', now() FROM credit_ledger
        WHERE account_id = $1 ORDER BY id DESC LIMIT 1`,
      `DELETE FROM credit_ledger WHERE account_id = $1 AND actor = 'x'`,
      ({ expected, actual }) => expected - actual === 7,
    ],
    [
      'available = last balanceAfter',
      `UPDATE credit_ledger SET balance_after = balance_after + 1
        WHERE id = (SELECT max(id) FROM credit_ledger WHERE account_id = $1)`,
      `UPDATE credit_ledger SET balance_after = balance_after - 1
        WHERE id = (SELECT max(id) FROM credit_ledger WHERE account_id = $1)`,
      ({ ledgerEntryId }) => ledgerEntryId,
    ],
    [
      'balanceAfter is a gapless chain',
      `UPDATE credit_ledger SET balance_after = balance_after + 1
        WHERE id = (SELECT min(id) + 2 FROM credit_ledger WHERE account_id = $1)`,
      `UPDATE credit_ledger SET balance_after = balance_after - 1
        WHERE id = (SELECT min(id) + 2 FROM credit_ledger WHERE account_id = $1)`,
      ({ ledgerEntryId }) => ledgerEntryId,
    ],
    [
      'lot = ledger',
      'UPDATE credit_allocations SET remaining_credits = remaining_credits - 1 WHERE account_id = $1 AND total_credits = 100',
      'UPDATE credit_allocations SET remaining_credits = remaining_credits + 1 WHERE account_id = $1 AND total_credits = 100',
      ({ allocationId }) => allocationId,
    ],
    [
      'held = active sessions',
      'UPDATE credit_balances SET held = held + 1 WHERE account_id = $1',
      'UPDATE credit_balances SET held = held - 1 WHERE account_id = $1',
      ({ expected }) => expected === 4,
    ],
    [
      'session = its lots',
      `UPDATE streaming_sessions SET held_credits[1] = held_credits[1] + 1 WHERE account_id = $1 AND session_id = 'active'`,
      `UPDATE streaming_sessions SET held_credits[1] = held_credits[1] - 1 WHERE account_id = $1 AND session_id = 'active'`,
      ({ sessionId }) => sessionId === 'active',
    ],
    [
      'session lot = ledger',
      `UPDATE streaming_sessions SET held_lots = held_lots[2:] || held_lots[1]
        WHERE account_id = $1 AND session_id = 'ended'`,
      `UPDATE streaming_sessions SET held_lots = held_lots[cardinality(held_lots):] || held_lots[:cardinality(held_lots) - 1]
        WHERE account_id = $1 AND session_id = 'ended'`,
      ({ sessionId, allocationId }) => sessionId === 'ended' && allocationId,
    ],
    [
      'usage = ledger',
      `UPDATE usage_records SET uncollected_credits = uncollected_credits + 1 WHERE account_id = $1 AND request_id = 'c'`,
      `UPDATE usage_records SET uncollected_credits = uncollected_credits - 1 WHERE account_id = $1 AND request_id = 'c'`,
      ({ usageId }) => usageId,
    ],
    [
      'decision = ledger',
      'UPDATE usage_reviews SET billed_credits = billed_credits + 1 WHERE account_id = $1',
      'UPDATE usage_reviews SET billed_credits = billed_credits - 1 WHERE account_id = $1',
      ({ usageId, actual, expected }) => usageId && actual - expected === 1,
    ],
    [
      'session open = cost, paid and decided',
      `UPDATE streaming_sessions SET used_credits = used_credits + 5 WHERE account_id = $1 AND session_id = 'ended'`,
      `UPDATE streaming_sessions SET used_credits = used_credits - 5 WHERE account_id = $1 AND session_id = 'ended'`,
      ({ sessionId, actual, expected }) => sessionId === 'ended' && expected - actual === 5,
    ],
    [
      'record version = corrections and decisions',
      `UPDATE usage_records SET version = 1 WHERE account_id = $1 AND request_id = 'r'`,
      `UPDATE usage_records SET version = 2 WHERE account_id = $1 AND request_id = 'r'`,
      ({ usageId, actual, expected }) => usageId && expected - actual === 1,
    ],
    [
      'session has its usage record',
      `UPDATE usage_records SET session_id = 'lost' WHERE account_id = $1 AND session_id = 'stale'`,
      `UPDATE usage_records SET session_id = 'stale' WHERE account_id = $1 AND session_id = 'lost'`,
      ({ sessionId }) => sessionId === 'stale',
    ],
    [
      'budget held = active sessions',
      'UPDATE budget_periods SET held = held + 1 WHERE account_id = $1',
      'UPDATE budget_periods SET held = held - 1 WHERE account_id = $1',
      ({ periodId }) => periodId,
    ],
    [
      'budget open sessions = active sessions',
      'UPDATE budget_periods SET open_sessions = open_sessions + 1 WHERE account_id = $1',
      'UPDATE budget_periods SET open_sessions = open_sessions - 1 WHERE account_id = $1',
      ({ periodId, actual, expected }) => periodId && actual === expected + 1,
    ],
    [
      'budget raised = raises',
      'UPDATE budget_periods SET raised = raised + 1 WHERE account_id = $1 AND raised > 0',
      'UPDATE budget_periods SET raised = raised - 1 WHERE account_id = $1 AND raised > 0',
      ({ periodId, actual, expected }) => periodId && expected === 7 && actual === 8,
    ],
    [
      'session places = leases',
      `UPDATE session_places SET expires_at = expires_at + interval '1 second' WHERE account_id = $1`,
      `UPDATE session_places SET expires_at = expires_at - interval '1 second' WHERE account_id = $1`,
      ({ periodId }) => periodId,
    ],
    [
      'budget used = records',
      'UPDATE budget_periods SET used = used + 1 WHERE account_id = $1',
      'UPDATE budget_periods SET used = used - 1 WHERE account_id = $1',
      ({ periodId }) => periodId,
    ],
    [
      'roll-up = records',
      'UPDATE usage_daily SET credits = credits + 1 WHERE account_id = $1',
      'UPDATE usage_daily SET credits = credits - 1 WHERE account_id = $1',
      ({ actual, expected }) => actual > expected,
    ],
    [
      'entry has the sign of its kind',
      `UPDATE credit_ledger SET kind = 'hold' WHERE account_id = $1 AND kind = 'allocation'`,
      `UPDATE credit_ledger SET kind = 'allocation' WHERE account_id = $1 AND kind = 'hold' AND credits > 0`,
      ({ ledgerEntryId }) => ledgerEntryId,
    ],
    [
      'lot is whole',
      'UPDATE credit_allocations SET is_open = NOT is_open WHERE account_id = $1',
      'UPDATE credit_allocations SET is_open = NOT is_open WHERE account_id = $1',
      ({ allocationId }) => allocationId,
    ],
    [
      'session is whole',
      `UPDATE streaming_sessions SET end_reason = NULL WHERE account_id = $1 AND session_id = 'ended'`,
      `UPDATE streaming_sessions SET end_reason = 'finalized' WHERE account_id = $1 AND session_id = 'ended'`,
      ({ sessionId }) => sessionId === 'ended',
    ],
    [
      'record is whole',
      'UPDATE usage_records SET uncollected_credits = uncollected_credits + credits + 1 WHERE account_id = $1',
      'UPDATE usage_records SET uncollected_credits = uncollected_credits - credits - 1 WHERE account_id = $1',
      ({ usageId }) => usageId,
    ],
  ];

  it('has a case below for each of its checks', () => {
    expect(BREAKS.map(([check]) => check)).toEqual(AUDIT_CHECKS.map(({ name }) => name));
  });

  it.each(BREAKS)('%s: finds it broken, and explains it', async (check, broken, mended, fault) => {
    await behindTheBack(broken, [user.userId]);
    const found = await audit();
    expect(found.ok).toBe(false);
    const difference = found.differences.find((one) => one.check === check);
    expect(difference, JSON.stringify(found.differences)).toMatchObject({ userId: user.userId });
    expect(difference?.explanation.length).toBeGreaterThan(30);
    expect(fault(difference as Difference)).toBeTruthy();
    await behindTheBack(mended, [user.userId]);
    expect(await audit()).toMatchObject({ ok: true });
  });

  it('finds a decision that is gone; the database itself refuses to change or delete one', async () => {
    for (const statement of [
      'UPDATE usage_reviews SET billed_credits = 0',
      'DELETE FROM usage_reviews',
      'TRUNCATE usage_reviews',
    ]) {
      await expect(service.owner.query(statement), statement).rejects.toMatchObject({ code: '23001' });
    }
    await behindTheBack('CREATE TABLE kept AS SELECT * FROM usage_reviews');
    await behindTheBack('DELETE FROM usage_reviews');
    expect((await audit()).differences.map(({ check }) => check)).toEqual([
      'record version = corrections and decisions',
    ]);
    await behindTheBack('INSERT INTO usage_reviews SELECT * FROM kept');
    await behindTheBack('DROP TABLE kept');
    expect(await audit()).toMatchObject({ ok: true });
  });

  it('names the first 1,000 differences and counts them all, over more users than one batch', async () => {
    await service.owner.query(
      `INSERT INTO user_accounts (user_id, email, username) SELECT 'n' || n, 'n' || n || '@x', 'x' FROM generate_series(1, 1200) n`,
    );
    await service.owner.query(
      `INSERT INTO credit_balances (account_id, held) SELECT 'n' || n, 1 FROM generate_series(1, 1200) n`,
    );
    const found = await audit();
    expect(found).toMatchObject({ ok: false, differencesFound: 1200 });
    expect(found.differences).toHaveLength(1000);
    expect(found.usersChecked).toBeGreaterThan(1200);
    await service.owner.query(`UPDATE credit_balances SET held = 0 WHERE account_id LIKE 'n%'`);
  });

  it('reads only the records of the users it looks at, also beside one who has most of them', async () => {
    const client = await service.owner.connect();
    await client.query('BEGIN');
    await client.query(
      `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, billing_status)
       SELECT u, u, now(), 'tts', 'speak', 0, 'recorded'
         FROM (SELECT 'n' || n FROM generate_series(1, 1200) n
               UNION ALL SELECT $1 FROM generate_series(1, 50000)) AS x (u)`,
      [user.userId],
    );
    await client.query('ANALYZE usage_records, credit_balances');
    for (const { text } of AUDIT_STATEMENTS) {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, ['n1', 'n199', 1000]);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      for (const [scan] of plan.matchAll(/Scan.* usage_records.*\n.*/g))
        expect(scan).toMatch(/Index Cond: .*(account_id|\bid = )/);
    }
    await client.query('ROLLBACK');
    client.release();
  });

  it('reads what a busy organisation has once, not once for each of something else', async () => {
    const periods = 200;
    const sessions = 2000;
    const client = await service.owner.connect();
    await client.query('BEGIN');
    const { rows: made } = await client.query<{ id: string }>(
      `INSERT INTO budget_periods (account_id, budget_id, unit, starts_at, ends_at)
       SELECT $1, n, 'credits', now(), 'infinity' FROM generate_series(1000000, 999999 + ${periods}) n RETURNING id`,
      [user.userId],
    );
    await client.query(
      `INSERT INTO streaming_sessions OVERRIDING SYSTEM VALUE
       SELECT (jsonb_populate_record(s, jsonb_build_object('id', 1000000 + n, 'session_id', 'm' || n, 'periods', $2::bigint[]))).*
         FROM streaming_sessions s, generate_series(1, ${sessions}) n WHERE account_id = $1 AND session_id = 'active'`,
      [user.userId, made.slice(0, 8).map(({ id }) => id)],
    );
    const copy = async (table: string, changes: string, which: string) => {
      const { rowCount } = await client.query(
        `INSERT INTO ${table} OVERRIDING SYSTEM VALUE
         SELECT (jsonb_populate_record(t, jsonb_build_object('session_id', 'e' || n, ${changes}))).*
           FROM ${table} t, generate_series(1, ${sessions}) n WHERE account_id = $1 AND ${which}`,
        [user.userId],
      );
      expect(rowCount, table).toBeGreaterThanOrEqual(sessions);
    };
    await copy('usage_records', `'id', 2000000 + n`, `session_id = 'ended'`);
    await copy('streaming_sessions', `'id', 3000000 + n, 'usage_id', 2000000 + n`, `session_id = 'ended'`);
    await copy('credit_ledger', `'id', 4000000 + n * 100 + t.id % 100`, `session_id = 'ended'`);
    await copy(
      'usage_records',
      `'session_id', NULL, 'id', 5000000 + n, 'request_id', 'c' || n`,
      `request_id = 'c'`,
    );
    await copy(
      'credit_ledger',
      `'session_id', NULL, 'id', 6000000 + n * 100 + t.id % 100, 'usage_id', 5000000 + n`,
      `usage_id = (SELECT id FROM usage_records WHERE account_id = $1 AND request_id = 'c')`,
    );
    for (const { text } of AUDIT_STATEMENTS) {
      const values = [user.userId, user.userId, 1000];
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE) ${text}`, values);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      const read = [...plan.matchAll(/actual .*rows=([\d.]+) loops=(\d+)/g)].map(
        ([, count, loops]) => Number(count) * Number(loops),
      );
      expect(Math.max(...read), plan).toBeLessThan(sessions * periods);
    }
    await client.query('ROLLBACK');
    client.release();
  });

  it('is one at a time, leaves turns to other reports, and ends when its client hangs up', async () => {
    const statements = vi.spyOn(service.get(Database), 'report');
    const gate = await service.owner.connect();
    await gate.query('BEGIN; LOCK usage_reviews IN ACCESS EXCLUSIVE MODE');
    const headers = { authorization: `Bearer ${accessToken({ sub: 'first', role: 'admin' })}` };
    const abandoned = request(`${service.url}/api/credits/audit`, { headers, agent: false });
    abandoned.on('error', () => undefined).end();
    await expect.poll(() => waitingForLocks(service), { timeout: 5000 }).toBe(1);
    const second = await root.get('/api/credits/audit');
    const other = await user.get('/api/credits/forecast');
    const before = statements.mock.calls.length;
    abandoned.destroy();
    await gate.query('ROLLBACK');
    gate.release();
    expectProblem(second, 503, { code: 'service.busy' });
    expect(other.status).toBe(200);
    const status = async () => (await root.get('/api/credits/audit')).status;
    await expect.poll(status, { timeout: 10_000 }).toBe(200);
    const batches = statements.mock.calls.slice(before).filter(([{ name }]) => name === 'credit_audit_users');
    // Those of the last audit alone: the first began none any more.
    expect(batches).toHaveLength(8);
  });
});

describe('a repair', () => {
  const repair = () => service.get(Database).call(REPAIR, { accountId: user.userId, actor: 'service:audit' });

  it('does nothing where nothing is wrong', async () => {
    const before = await ledgerOf(user);
    await repair();
    expect(await ledgerOf(user)).toEqual(before);
  });

  it('sets the cache to what lots and sessions say, and is itself in the ledger', async () => {
    const sound = await balanceOf(user);
    await behindTheBack(
      'UPDATE credit_balances SET available = available + 30, held = held + 3, next_expiry = NULL WHERE account_id = $1',
      [user.userId],
    );
    expect(await repair()).toMatchObject({
      availableBefore: sound.totalCredits + 30,
      available: sound.totalCredits,
    });
    expect(await balanceOf(user)).toEqual(sound);
    expect((await ledgerOf(user))[0]).toMatchObject({
      kind: 'correction',
      credits: 0,
      balanceAfter: sound.totalCredits,
      actor: 'service:audit',
      notes: `The balance said ${sound.totalCredits + 30} available and ${sound.heldCredits + 3} held`,
    });
    expect(await audit()).toMatchObject({ ok: true });
    // The shortcut to the next expiry is right again too.
    await service.owner.query(
      `UPDATE credit_allocations SET expires_at = now() + interval '9 days' WHERE account_id = $1`,
      [user.userId],
    );
  });

  it('puts right a balance that a movement has used meanwhile', async () => {
    const sound = await balanceOf(user);
    await behindTheBack('UPDATE credit_balances SET available = available + 30 WHERE account_id = $1', [
      user.userId,
    ]);
    expect((await initialize(user, 'meanwhile')).status).toBe(201);
    expect((await audit()).ok).toBe(false);
    await repair();
    expect(await audit()).toMatchObject({ ok: true });
    expect((await balanceOf(user)).totalCredits).toBeLessThan(sound.totalCredits);
    expect((await initialize(user, 'afterwards')).status).toBe(201);
    expect(await audit()).toMatchObject({ ok: true });
  });

  it('of a lot that was changed writes a correction, so that the ledger adds up again', async () => {
    await behindTheBack(
      `UPDATE credit_allocations SET remaining_credits = remaining_credits - 5 WHERE account_id = $1 AND total_credits = 100`,
      [user.userId],
    );
    const before = (await balanceOf(user)).totalCredits;
    await repair();
    expect((await ledgerOf(user)).slice(0, 2)).toMatchObject([
      { kind: 'correction', credits: 0, balanceAfter: before - 5 },
      { kind: 'correction', credits: -5, balanceAfter: before - 5 },
    ]);
    expect(await audit()).toMatchObject({ ok: true });
    expect((await initialize(user, 'after')).status).toBe(201);
    await endLeases(service, user);
    await service.get(StreamingSessionsSweeper).sweep();
    expect(await audit()).toMatchObject({ ok: true });
  });

  it('of a budget’s raises leaves it to the next call to note which have ended', async () => {
    const raised = async () =>
      (
        await service.owner.query<{ raised: string; raised_until: Date | null }>(
          `SELECT raised, raised_until FROM budget_periods p WHERE account_id = $1
              AND EXISTS (SELECT FROM budget_raises WHERE account_id = $1 AND period_id = p.id)`,
          [user.userId],
        )
      ).rows;
    await service.owner.query(
      `WITH ended AS (UPDATE budget_raises SET until = now() WHERE account_id = $1 AND until IS NOT NULL)
       UPDATE budget_periods SET raised_until = now() WHERE account_id = $1 AND raised > 0`,
      [user.userId],
    );
    const sound = await raised();
    expect(sound).toEqual([{ raised: '7', raised_until: expect.any(Date) }]);
    expect(await audit()).toMatchObject({ ok: true });
    await behindTheBack('UPDATE budget_periods SET raised = 0 WHERE account_id = $1', [user.userId]);
    await repair();
    expect(await raised()).toEqual(sound);
    expect((await initialize(user, 'after the raise')).status).toBe(201);
    expect(await raised()).toEqual([{ raised: '3', raised_until: null }]);
    expect(await audit()).toMatchObject({ ok: true });
    await behindTheBack('UPDATE budget_periods SET raised = 9 WHERE account_id = $1', [user.userId]);
    await repair();
    expect(await raised()).toEqual([{ raised: '3', raised_until: null }]);
    expect(await audit()).toMatchObject({ ok: true });
  });
});
