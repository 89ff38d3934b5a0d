import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { distribute } from '../../../migrations/distribution.js';
import { sqlFunctions } from '../../../migrations/functions.js';
import {
  createEmbeddedDatabase,
  embeddedUrls,
  migrate,
  type ServerLogin,
} from '../../../src/postgres-server/open-database.js';
import { asSuperuser, createCitusDatabase, dropCitusDatabase } from '../../support/citus.js';
import { balanceOf, expectSoundBooks, initialize, userWithCredits } from '../../support/money.js';
import { freshUser, ownerPool, startOn } from '../../support/service.js';

const LIMITS = { poolSize: 2, statementTimeoutMilliseconds: 60_000, connectTimeoutMilliseconds: 5000 };
const CONFIG = { ...LIMITS, url: undefined, migrationUrl: undefined, embeddedDirectory: '' };
const silent = () => undefined;

const servers = inject('citus');
const coordinator = servers[0] as ServerLogin;
const name = `test_${randomUUID().replaceAll('-', '')}`;
let owner: pg.Pool;
let urls: { url: string; ownerUrl: string };

beforeAll(async () => {
  await createCitusDatabase(servers, name);
  urls = embeddedUrls(coordinator, name);
  owner = ownerPool(coordinator, name);
  await migrate(CONFIG, urls.ownerUrl, 'accounting_app');
});
afterAll(async () => {
  await owner.end();
  await dropCitusDatabase(servers, name);
});

const distributeIt = (progress: (line: string) => void = silent, url = urls.ownerUrl) =>
  migrate(CONFIG, url, 'accounting_app', silent, (runner) => distribute(runner, progress));

/** Foreign keys and triggers, as a person wrote them. */
async function rulesOf(database: pg.Pool): Promise<string[]> {
  const { rows } = await database.query<{ rule: string }>(
    `SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) AS rule FROM pg_constraint
      WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ '_\\d{6,}$'
     UNION ALL
     SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t
      WHERE NOT tgisinternal AND tgrelid::regclass::text !~ '_\\d{6,}$' AND tgname !~ 'truncate_trigger' ORDER BY 1`,
  );
  return rows.map(({ rule }) => rule);
}

describe('a database in use becomes that of a cluster', () => {
  it('goes on after it was cut off at any table, and keeps every balance, session, key and rule', async () => {
    const before = await startOn(urls.url, owner);
    const user = await userWithCredits(before, 1000, 500);
    expect((await initialize(user, 'open')).status).toBe(201);
    const made = await user.post<{ key: string }>('/api/api-keys', {
      name: 'k',
      permissions: ['credits:read'],
    });
    expect(made.status).toBe(201);
    const balance = await balanceOf(user);
    const rules = await rulesOf(owner);
    await before.app.close();

    // Each run is cut off after its first table; the last one has only one left.
    const cutOff = (line: string) => {
      if (line.startsWith('2 of ')) throw new Error('cut off');
    };
    await expect(distributeIt(cutOff)).rejects.toThrow('cut off');
    await expect(startOn(urls.url, owner)).rejects.toThrow('half distributed');
    let runs = 1;
    for (let isDone = false; !isDone; runs++) {
      isDone = await distributeIt(cutOff).then(
        () => true,
        (error: Error) => {
          expect(error.message).toBe('cut off');
          return false;
        },
      );
    }
    expect(runs).toBeGreaterThan(25);
    expect(await rulesOf(owner)).toEqual(rules);

    const after = await startOn(urls.url, owner);
    const again = after.as(user.userId);
    expect(await balanceOf(again)).toEqual(balance);
    const withKey = after.withHeaders({ 'x-api-key': made.body.key });
    expect((await withKey.get('/api/credits/balance')).status).toBe(200);
    const settled = await again.post('/api/streaming-sessions/finalize', {
      ...{ sessionId: 'open', actualTokens: 500, success: true },
    });
    expect(settled.status, settled.text).toBe(200);
    await expectSoundBooks(after);
    await after.app.close();
  });

  it('is left as it is when it is distributed already', async () => {
    const lines: string[] = [];
    await distributeIt((line) => lines.push(line));
    expect(lines).toEqual(['0 functions put on every server']);
  });

  it('keeps the ledger append-only on every server', async () => {
    for (const change of ['UPDATE credit_ledger SET credits = 0', 'DELETE FROM credit_ledger'])
      await expect(
        owner.query(`${change} WHERE account_id = (SELECT min(account_id) FROM credit_ledger)`),
      ).rejects.toMatchObject({
        message: expect.stringContaining('is append-only') as string,
      });
  });

  it('sends each operation on an account whole to one server', async () => {
    const operations = sqlFunctions().filter(
      ({ isOperation, text }) => isOperation && /\(\s*p_(account|owner) varchar/.test(text),
    );
    expect(operations.length).toBeGreaterThan(30);
    const { rows } = await owner.query<{ call: string }>(
      `SELECT proname || '(' || array_to_string(ARRAY(
                SELECT CASE n WHEN 1 THEN quote_literal($2) ELSE 'NULL' END || '::' || format_type(proargtypes[n - 1], NULL)
                  FROM generate_series(1, pronargs) n), ', ') || ')' AS call
         FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = ANY ($1)`,
      [operations.map(({ name: operation }) => operation), freshUser()],
    );
    expect(rows).toHaveLength(operations.length);
    const elsewhere: string[] = [];
    for (const { call } of rows) {
      const plan = await owner.query<{ 'QUERY PLAN': string }>(`EXPLAIN SELECT * FROM ${call}`);
      const text = plan.rows.map((row) => row['QUERY PLAN']).join('\n');
      if (!/Custom Scan \(Citus Adaptive\)[\s\S]*Task Count: 1\b/.test(text))
        elsewhere.push(`${call}: ${text}`);
    }
    expect(elsewhere).toEqual([]);
  });
});

describe('refuses with the reason', () => {
  it('a database without Citus, and one without workers', async () => {
    const other = `${name}_other`;
    const { ownerUrl } = await createEmbeddedDatabase(coordinator, other);
    await expect(distributeIt(silent, ownerUrl)).rejects.toThrow('The database has no Citus');
    await asSuperuser(coordinator, other, 'CREATE EXTENSION citus');
    await expect(distributeIt(silent, ownerUrl)).rejects.toThrow('The cluster has no worker');
    await asSuperuser(coordinator, 'postgres', `DROP DATABASE ${other} WITH (FORCE)`);
  });

  it('a table whose unique key would hold for one account only', async () => {
    await asSuperuser(
      coordinator,
      name,
      'SET ROLE accounting_owner; CREATE TABLE others (account_id VARCHAR(50), id BIGINT UNIQUE, PRIMARY KEY (account_id, id))',
    );
    await expect(distributeIt()).rejects.toThrow(/These keys lack account_id: others_id_key of others/);
    await owner.query('DROP TABLE others');
  });
});
