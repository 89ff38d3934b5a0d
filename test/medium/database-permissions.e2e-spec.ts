import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectSoundBooks, initialize, userWithCredits } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';

let service: TestService;
/** A connection as the running service's role. */
let runtime: pg.Client;
beforeAll(async () => {
  service = await startService();
  const user = await userWithCredits(service, 100);
  await initialize(user, 's');
  await user.post('/api/streaming-sessions/finalize', { sessionId: 's', actualTokens: 700 });
  runtime = new pg.Client({ connectionString: service.databaseUrl });
  await runtime.connect();
});
afterAll(async () => {
  await expectSoundBooks(service);
  await runtime.end();
  await service.close();
});

const MONEY_TABLES = [
  'credit_balances',
  'credit_allocations',
  'credit_ledger',
  'streaming_sessions',
  'usage_records',
  'usage_daily',
  'user_accounts',
];

describe("the service's role", () => {
  it.each(MONEY_TABLES)('reads %s and cannot write it', async (table) => {
    const { rows } = await runtime.query<{ user_id: string }>(`SELECT user_id FROM ${table} LIMIT 1`);
    expect(rows).toHaveLength(1);
    for (const statement of [
      `UPDATE ${table} SET user_id = user_id`,
      `DELETE FROM ${table}`,
      `TRUNCATE ${table} CASCADE`,
      `INSERT INTO ${table} (user_id) VALUES ('x')`,
      `ALTER TABLE ${table} ADD COLUMN x integer`,
      `DROP TABLE ${table}`,
    ]) {
      await expect(runtime.query(statement), statement).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('cannot read or write idempotency keys, which hold answers of everyone', async () => {
    await expect(runtime.query('SELECT * FROM idempotency_keys')).rejects.toMatchObject({ code: '42501' });
    await expect(runtime.query('DELETE FROM idempotency_keys')).rejects.toMatchObject({ code: '42501' });
  });

  it('calls the operations, and none of the helpers they are made of', async () => {
    const { rows } = await service.owner.query<{
      name: string;
      allowed: boolean;
      definer: boolean;
      path: string;
    }>(
      `SELECT p.proname AS name, has_function_privilege('accounting_app', p.oid, 'EXECUTE') AS allowed,
              p.prosecdef AS definer, array_to_string(p.proconfig, ',') AS path
         FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        ORDER BY 1`,
    );
    const allowed = rows.filter((row) => row.allowed);
    expect(allowed.map(({ name }) => name)).toEqual([
      'account_upsert',
      'available_credits',
      'credit_allocate',
      'credit_deduct',
      'credit_expire',
      'credit_quote',
      'credit_repair',
      'credit_revoke',
      'forget_idempotency_keys',
      'session_hold',
      'session_progress',
      'session_settle',
      'session_timeout',
      'usage_charge',
      'usage_record',
      'usage_review',
    ]);
    // A function with its owner's rights must not look names up where its caller says.
    for (const row of allowed) {
      expect(row, row.name).toMatchObject({ definer: true, path: 'search_path=public, pg_temp' });
    }
    expect(rows.length).toBeGreaterThan(allowed.length + 15);
  });
});

describe('the ledger', () => {
  it.each([
    ['UPDATE', 'UPDATE credit_ledger SET credits = credits + 1'],
    ['DELETE', 'DELETE FROM credit_ledger'],
    ['TRUNCATE', 'TRUNCATE credit_ledger'],
  ])('refuses %s, also to the owner of the database', async (_, statement) => {
    await expect(service.owner.query(statement)).rejects.toMatchObject({
      code: '23001',
      message: expect.stringContaining('append-only') as string,
    });
  });
});

describe('the CHECKs, should a function ever be wrong', () => {
  it.each([
    ['a negative balance', 'UPDATE credit_balances SET available = -1'],
    ['a negative hold', 'UPDATE credit_balances SET held = -1'],
    ['a balance that JSON cannot tell exactly', 'UPDATE credit_balances SET available = 9007199254740992'],
    ['a negative lot', 'UPDATE credit_allocations SET remaining_credits = -1'],
    [
      'a lot with more than it was given',
      'UPDATE credit_allocations SET remaining_credits = total_credits + 1',
    ],
    ['a session that ended without a reason', `UPDATE streaming_sessions SET end_reason = NULL`],
    ['a record that lacks more than it cost', 'UPDATE usage_records SET uncollected_credits = credits + 1'],
    [
      'an entry of the wrong sign',
      `INSERT INTO credit_ledger (user_id, kind, credits, balance_after, allocation_id, actor, created_at)
       SELECT user_id, 'hold', 5, 5, id, 'x', now() FROM credit_allocations`,
    ],
    [
      'an entry of no known kind',
      `INSERT INTO credit_ledger (user_id, kind, credits, balance_after, allocation_id, actor, created_at)
       SELECT user_id, 'gift', 5, 5, id, 'x', now() FROM credit_allocations`,
    ],
  ])('refuse %s', async (_, statement) => {
    await expect(service.owner.query(statement)).rejects.toMatchObject({ code: '23514' });
  });
});
