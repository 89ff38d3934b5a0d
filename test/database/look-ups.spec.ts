import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { SONNET, times, userWithCredits } from '../support/money.js';
import { organisation } from '../support/organisations.js';
import { startService, type TestService } from '../support/service.js';

/** Those that grow with every request. */
const GROWING = [
  'user_accounts',
  'credit_balances',
  'credit_allocations',
  'credit_ledger',
  'idempotency_keys',
  'streaming_sessions',
  'usage_records',
  'usage_daily',
];

let service: TestService;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

/** How often each growing table was read whole by connections that have ended. */
async function readWhole(): Promise<Record<string, number>> {
  const { rows } = await service.owner.query<{ relname: string; scans: number }>(
    `SELECT relname, seq_scan::integer AS scans FROM pg_stat_user_tables WHERE relname = ANY($1)`,
    [GROWING],
  );
  expect(rows).toHaveLength(GROWING.length);
  return Object.fromEntries(rows.map(({ relname, scans }) => [relname, scans]));
}

/** Each movement of a busy service several times, so that each statement has the plan that its connection keeps. */
async function moveCredits(instance: TestService, userId: string): Promise<void> {
  const user = instance.as(userId);
  const boss = instance.as('boss', { role: 'admin' });
  const done = async (request: Promise<{ status: number; body: unknown }>) => {
    const { status, body } = await request;
    expect(status, JSON.stringify(body)).toBeLessThan(300);
  };
  for (let round = 0; round < 8; round++) {
    const ids = ['settled', 'aborted'].map((end) => `${end}-${round}-${randomUUID()}`);
    for (const sessionId of ids) {
      const start = { sessionId, modelId: SONNET, estimatedTokens: 1000 };
      await done(user.post('/api/streaming-sessions/initialize', start));
      await done(user.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 2000 }));
    }
    const [sessionId, aborted] = ids;
    await done(user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens: 1500 }));
    await done(user.post('/api/streaming-sessions/abort', { sessionId: aborted, tokensGenerated: 10 }));
    const call = { requestId: sessionId, modelId: SONNET, tokens: 10 };
    await done(user.post('/api/usage/charge', call, { 'idempotency-key': `charge ${sessionId}` }));
    await done(user.post('/api/usage/record', { service: 's', operation: 'o', credits: 1 }));
    await done(boss.post('/api/credits/allocate', { userId, credits: 50 }));
    await done(boss.post('/api/credits/deduct', { userId, credits: 1, notes: 'x' }));
  }
}

/** How many rows of each growing table index scans have fetched, by connections that have ended. */
async function fetched(): Promise<number> {
  const { rows } = await service.owner.query<{ rows: number }>(
    `SELECT sum(idx_tup_fetch)::integer AS rows FROM pg_stat_user_tables WHERE relname = ANY($1)`,
    [GROWING],
  );
  return rows[0]?.rows ?? 0;
}

/** How many rows of a table are read by what another instance does. */
async function rowsRead(table: string, work: (instance: TestService) => Promise<unknown>): Promise<number> {
  const read = async () => {
    const { rows } = await service.owner.query<{ rows: number }>(
      'SELECT (seq_tup_read + idx_tup_fetch)::integer AS rows FROM pg_stat_user_tables WHERE relname = $1',
      [table],
    );
    return rows[0]?.rows ?? 0;
  };
  const instance = await service.another({ DB_POOL_SIZE: '1' });
  const before = await read();
  await work(instance);
  await instance.close();
  return (await read()) - before;
}

it('no movement reads rows of other accounts or all of its own, although its plan was made while the tables were empty', async () => {
  const { userId } = await userWithCredits(service, 1_000_000);
  const instance = await service.another({ DB_POOL_SIZE: '1' });
  await moveCredits(instance, userId);
  await service.owner.query(
    `INSERT INTO credit_balances (account_id) SELECT 'other-' || n FROM generate_series(1, 5000) n;
     INSERT INTO credit_allocations (account_id, total_credits, remaining_credits, allocated_by, expires_at)
     SELECT 'other-' || n, 1, 1, 'x', now() + interval '1 hour' FROM generate_series(1, 5000) n;
     INSERT INTO usage_daily (account_id, user_id, day, service, operation, records, credits)
     SELECT 'other-' || n, 'other-' || n, d.day, 's', 'o', 1, 1
       FROM generate_series(1, 5000) n, (SELECT DISTINCT day FROM usage_daily) d;
     INSERT INTO usage_records (account_id, user_id, service, operation, credits, billing_status)
     SELECT 'other-' || n, 'other-' || n, 's', 'o', 1, 'recorded' FROM generate_series(1, 5000) n;
     -- As in an organisation with many members, and after many calls.
     INSERT INTO usage_daily (account_id, user_id, day, service, operation, records, credits)
     SELECT '${userId}', 'other-' || n, d.day, 's', 'o', 1, 1
       FROM generate_series(1, 5000) n, (SELECT DISTINCT day FROM usage_daily) d;
     INSERT INTO usage_records (account_id, user_id, service, operation, credits, billing_status, request_id)
     SELECT '${userId}', 'other-' || n, 's', 'o', 1, 'recorded', 'other-' || n FROM generate_series(1, 5000) n;
     INSERT INTO streaming_sessions
       (account_id, user_id, session_id, model_id, pricing_rule_id, pricing_source, estimated_credits, first_hold,
        remaining_after_hold, allocated_credits, held_lots, held_credits, status, started_at, expires_at)
     SELECT '${userId}', 'other-' || n, 'other-' || n, 'm', 1, 'rule', 0, 0, 0, 0, '{}', '{}', 'active', now(), now() + interval '1 hour'
       FROM generate_series(1, 5000) n;
     INSERT INTO credit_ledger (account_id, kind, credits, balance_after, actor, created_at)
     SELECT '${userId}', 'correction', 0, 0, 'x', now() FROM generate_series(1, 5000) n;
     INSERT INTO credit_allocations (account_id, total_credits, remaining_credits, allocated_by, expires_at, is_open)
     SELECT '${userId}', 1, 0, 'x', now() - interval '1 hour', FALSE FROM generate_series(1, 5000) n;
     INSERT INTO idempotency_keys (account_id, caller_id, key, request_hash, response)
     SELECT '${userId}', '${userId}', 'other-' || n, sha256('x'), '{}' FROM generate_series(1, 5000) n;
     -- What this has read itself must not be counted later.
     SELECT pg_stat_force_next_flush()`,
  );
  const before = await fetched();
  await moveCredits(instance, userId);
  await instance.close();
  expect((await fetched()) - before).toBeLessThan(5000);
});

it('no movement reads a whole table, although its plan was made while the table was small', async () => {
  const { userId } = await userWithCredits(service, 1_000_000);
  await moveCredits(service, userId);
  // With statistics of a few rows, reading all of them is what a planner prefers.
  await service.owner.query('ANALYZE');
  const instance = await service.another({ DB_POOL_SIZE: '1' });
  const before = await readWhole();
  await moveCredits(instance, userId);
  // A connection hands in its counts at the latest when it ends.
  await instance.close();
  expect(await readWhole()).toEqual(before);
});

it('no movement adds up the raises of a budget', async () => {
  const { userId } = await userWithCredits(service, 1_000_000);
  // What an instance has read is counted when it has ended.
  const first = await service.another();
  const user = first.as(userId);
  const budget = { scope: 'account', unit: 'credits', window: 'day', amount: 1 };
  const { body } = await user.post<{ id: number }>('/api/budgets', budget);
  const raise = { amount: 100_000, reason: 'r', until: '2999-01-01T00:00:00Z' };
  for (let n = 0; n < 30; n++) await user.post(`/api/budgets/${body.id}/raises`, raise);
  await first.close();
  expect(await rowsRead('budget_raises', (instance) => moveCredits(instance, userId))).toBe(0);
});

it('neither the beginning of a minute nor a refusal reads the sessions that are open, however many there are', async () => {
  const { userId } = await userWithCredits(service, 1000);
  const first = await service.another();
  const user = first.as(userId);
  const open = 150;
  for (const budget of [
    { scope: 'account', unit: 'tokens', window: 'minute', amount: 1_000_000 },
    { scope: 'account', unit: 'sessions', amount: open },
    { scope: 'model', scopeId: SONNET, unit: 'sessions', amount: 0 },
  ])
    expect((await user.post('/api/budgets', budget)).status).toBe(201);
  const start = (client: HttpClient, sessionId: string, modelId: string) =>
    client.post('/api/streaming-sessions/initialize', { sessionId, modelId, estimatedTokens: 0 });
  await times(open - 1, (n) => start(user, `s${n}`, 'other'));
  await first.close();
  await service.owner.query(
    `UPDATE budget_periods SET starts_at = starts_at - interval '2 minutes', ends_at = now()
      WHERE account_id = $1 AND unit = 'tokens'`,
    [userId],
  );
  const read = await rowsRead('streaming_sessions', async (instance) => {
    const client = instance.as(userId);
    expect((await start(client, 'last', 'other')).status).toBe(201);
    for (let n = 0; n < 10; n++) {
      const refused = await start(client, `refused-${n}`, n % 2 === 0 ? SONNET : 'other');
      expect(refused.status).toBe(429);
    }
  });
  expect(read).toBeLessThan(open);
});

it('what a member of an organisation reads of their own does not read what the others spend', async () => {
  const acme = await organisation(service);
  await acme.allocate(1000);
  const member = await acme.member('member');
  for (const sessionId of ['s', 't']) {
    await acme.start(member, sessionId);
    await acme.finalize(member, sessionId, 1000);
  }
  await service.owner.query(
    `INSERT INTO usage_records (account_id, user_id, service, operation, credits, billing_status)
     SELECT '${acme.id}', 'other', 's', 'o', 1, 'recorded' FROM generate_series(1, 5000) n;
     INSERT INTO credit_ledger (account_id, user_id, kind, credits, balance_after, actor, created_at)
     SELECT '${acme.id}', 'other', 'charge', 1, 1, 'x', now() FROM generate_series(1, 5000) n;
     ANALYZE usage_records; ANALYZE credit_ledger`,
  );
  const paths = ['/credits/ledger', '/usage/stats', '/usage/breakdown?by=apiKey', '/usage/classes'];
  for (const table of ['usage_records', 'credit_ledger']) {
    const read = await rowsRead(table, async (instance) => {
      for (let round = 0; round < 7; round++) {
        for (const path of paths) {
          const url = `/api${path}${path.includes('?') ? '&' : '?'}accountId=${acme.id}`;
          const { status, text } = await member.at(instance.url).get(url);
          expect(status, text).toBe(200);
        }
      }
    });
    expect(read, table).toBeLessThan(1000);
  }
});
