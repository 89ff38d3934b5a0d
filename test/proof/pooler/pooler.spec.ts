import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, inject, it } from 'vitest';
import { createApp } from '../../../src/app.setup.js';
import { balanceOf, expectSoundBooks, SONNET, userWithCredits } from '../../support/money.js';
import { startPooler } from '../../support/pooler.js';
import { startService, type TestService } from '../../support/service.js';

const PROGRAM = process.env.TEST_POOLER as string;

let service: TestService;
beforeEach(async () => {
  service = await startService();
});
afterEach(async () => {
  await expectSoundBooks(service);
  await service.close();
});

/** The pooler makes new ones, with the settings that the role has now. */
const endConnections = () =>
  service.owner.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'accounting_app'`,
  );

it('does not start where the role lacks settings, and says how to set them', async () => {
  const start = () =>
    createApp(service.config, service.config.database.url as string, pino({ level: 'silent' }));
  const database = new URL(service.databaseUrl).pathname.slice(1);
  await service.owner.query(`ALTER ROLE accounting_app IN DATABASE ${database} RESET ALL`);
  await endConnections();
  const refused = await start().then(
    () => undefined,
    (error: Error) => error.message,
  );
  const statements = (refused ?? '').split('\n').filter((line) => line.startsWith('ALTER ROLE'));
  expect(refused).toContain('DATABASE_DIRECT_URL');
  expect(statements.join('\n')).toMatch(/statement_timeout = '10000'[^]*accounting\.low_threshold = '100'/);
  for (const statement of statements) await service.owner.query(statement);
  await endConnections();
  const app = await start();
  await app.close();
});

it('does not start where the pooler leads to another database', async () => {
  const other = await startService();
  const elsewhere = { ...service.config.database, directUrl: other.databaseUrl };
  const start = createApp(
    { ...service.config, database: elsewhere },
    service.config.database.url as string,
    pino({ level: 'silent' }),
  );
  await expect(start).rejects.toThrow('lead to different databases');
  await other.close();
});

it('has the server give up a statement that takes too long', async () => {
  const hasty = await startService({ DB_STATEMENT_TIMEOUT_MS: '300' });
  const user = await userWithCredits(hasty, 1000);
  const gate = await hasty.owner.connect();
  await gate.query('BEGIN; LOCK credit_balances IN ACCESS EXCLUSIVE MODE');
  const answer = await user.get('/api/credits/balance');
  const { rows } = await gate.query(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  await gate.query('ROLLBACK');
  gate.release();
  expect([answer.status, rows]).toEqual([503, []]);
  await hasty.close();
});

it('a pooler that is killed under load loses no charge, and none is made twice', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-pooler-'));
  let pooler = await startPooler(PROGRAM, inject('server'), directory);
  const url = new URL(service.databaseUrl);
  url.port = String(pooler.port);
  const pooled = await service.another({ DATABASE_URL: url.href, DATABASE_DIRECT_URL: service.databaseUrl });
  const { userId } = await userWithCredits(service, 100_000);
  const user = service.as(userId).at(pooled.url);
  let isOver = false;
  let refusals = 0;
  const charged = await Promise.all([
    ...Array.from({ length: 8 }, async (_, lane) => {
      let number = 0;
      for (; !isOver; number++) {
        const charge = { requestId: `${lane}-${number}`, modelId: SONNET, tokens: 1000 };
        while ((await user.post('/api/usage/charge', charge)).status >= 500) {
          refusals++;
          await pause(50);
        }
      }
      return number;
    }),
    (async () => {
      await pause(700);
      await pooler.stop('SIGKILL');
      await pause(500);
      pooler = await startPooler(PROGRAM, inject('server'), directory, pooler.port);
      await pause(1500);
      isOver = true;
      return 0;
    })(),
  ]);
  const total = charged.reduce((sum, count) => sum + count, 0);
  const { rows } = await service.owner.query<{ records: string; credits: string }>(
    'SELECT count(*) AS records, sum(credits) AS credits FROM usage_records WHERE account_id = $1',
    [userId],
  );
  expect(refusals).toBeGreaterThan(0);
  expect(Number(rows[0]?.records)).toBe(total);
  expect((await balanceOf(service.as(userId))).totalCredits).toBe(100_000 - Number(rows[0]?.credits));
  await pooled.close();
  await pooler.stop();
  await rm(directory, { recursive: true, force: true });
});
