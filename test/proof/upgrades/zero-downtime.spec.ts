import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { installFunctions, type SqlFunction, sqlFunctions } from '../../../migrations/functions.js';
import { AccountingDataSource } from '../../../ormconfig.js';
import { connectionPool } from '../../../src/common/database/driver.js';
import { embeddedUrls } from '../../../src/postgres-server/open-database.js';
import type { Answer, HttpClient } from '../../support/http-client.js';
import { balanceOf, expectSoundBooks, initialize, SONNET, userWithCredits } from '../../support/money.js';
import { columnsOf, RELEASES, type RecordedStatement } from '../../support/recorded-statements.js';
import { startService, type TestService } from '../../support/service.js';
import { TEMPLATE } from '../../support/global-setup.js';

const releases = existsSync(RELEASES) ? readdirSync(RELEASES) : [];

// Recorded from release 1.0.0 on: `npm run release:record` before it is tagged.
describe.skipIf(releases.length === 0)('the statements of each release', () => {
  let admin: pg.Client;
  let database: pg.Client;
  const name = `releases_${randomUUID().replaceAll('-', '')}`;

  beforeAll(async () => {
    const server = inject('server');
    admin = new pg.Client({ ...server, database: 'postgres' });
    await admin.connect();
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
    database = new pg.Client({ ...server, database: name });
    await database.connect();
  });
  afterAll(async () => {
    await database.end();
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.end();
  });

  it.each(releases)('of %s work on the schema of today and give the same columns', async (release) => {
    const file = `${RELEASES}/${release}/statements.json`;
    const statements = JSON.parse(readFileSync(file, 'utf8')) as RecordedStatement[];
    expect(statements.length).toBeGreaterThan(50);
    const broken: string[] = [];
    for (const { text, values, columns } of statements) {
      const now = await columnsOf(database, text, values).catch((error: Error) => error.message);
      if (JSON.stringify(now) !== JSON.stringify(columns)) {
        broken.push(`${text}\n  gave ${JSON.stringify(columns)}\n  now  ${JSON.stringify(now)}`);
      }
    }
    expect(broken.join('\n\n'), 'see migrations/README.md for what a migration may do').toBe('');
  });
});

/** What happens to a function that cannot be replaced: another one is there under its name, with the same rights. */
const DROPPED_AND_MADE = `
  DO $$ DECLARE f record; BEGIN
    FOR f IN SELECT oid::regprocedure::text AS name, pg_get_functiondef(oid) AS definition,
                    has_function_privilege('accounting_app', oid, 'EXECUTE') AS is_called
               FROM pg_proc p
              WHERE pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype
                AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') LOOP
      EXECUTE 'DROP FUNCTION ' || f.name;
      EXECUTE f.definition;
      IF f.is_called THEN EXECUTE 'GRANT EXECUTE ON FUNCTION ' || f.name || ' TO accounting_app'; END IF;
    END LOOP;
  END $$`;

/** As if the text of every function had changed since it was installed. */
const EACH_TEXT_CHANGED = `
  DO $$ DECLARE f record; BEGIN
    FOR f IN SELECT oid::regprocedure::text AS name FROM pg_proc p
              WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NOT NULL LOOP
      EXECUTE 'COMMENT ON FUNCTION ' || f.name || ' IS NULL';
    END LOOP;
  END $$`;

describe('the release before, while the next one migrates', () => {
  let service: TestService;
  let migrating: DataSource;
  beforeAll(async () => {
    service = await startService({ DB_STATEMENT_TIMEOUT_MS: '5000' });
    const name = new URL(service.databaseUrl).pathname.slice(1);
    // As with the embedded server; a copy of a template belongs to who made it.
    await service.owner.query(`ALTER DATABASE ${name} OWNER TO accounting_owner`);
    const limits = { poolSize: 2, statementTimeoutMilliseconds: 60_000, connectTimeoutMilliseconds: 5000 };
    migrating = new AccountingDataSource(
      connectionPool({ ...limits, url: embeddedUrls(inject('server'), name).ownerUrl }),
    );
    await migrating.initialize();
  });
  afterAll(async () => {
    await migrating.destroy();
    await expectSoundBooks(service);
    await service.close();
  });

  /** Streams of a user one after the other, each finished; a 503 is repeated as clients do. Answers every status. */
  async function streams(
    user: HttpClient,
    goesOn: () => boolean,
  ): Promise<{ finished: number; answers: Answer[] }> {
    const answers: Answer[] = [];
    const repeated = async (call: () => Promise<Answer>) => {
      for (;;) {
        const answer = await call();
        answers.push(answer);
        if (answer.status !== 503) return answer;
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      }
    };
    let finished = 0;
    for (; goesOn(); finished++) {
      const sessionId = `s-${finished}`;
      await repeated(() => initialize(user, sessionId));
      await repeated(() =>
        user.post('/api/streaming-sessions/progress', { sessionId, tokensGenerated: 300 }),
      );
      await repeated(() => user.post('/api/streaming-sessions/finalize', { sessionId, actualTokens: 1000 }));
      await repeated(() =>
        user.post('/api/usage/charge', { requestId: sessionId, modelId: SONNET, tokens: 1000 }),
      );
    }
    return { finished, answers };
  }

  async function migrateUnderLoad(rounds: number, change: (round: number) => string[]): Promise<void> {
    const runner = migrating.createQueryRunner();
    try {
      for (let round = 0; round < rounds; round++) {
        await runner.startTransaction();
        for (const statement of [...change(round), EACH_TEXT_CHANGED]) await runner.query(statement);
        await runner.commitTransaction();
        await installFunctions(runner);
      }
    } finally {
      if (runner.isTransactionActive) await runner.rollbackTransaction();
      await runner.release();
    }
  }

  /** A parameter more for each operation that the load calls; the next installation takes it away again. */
  function withParameter(round: number): string[] {
    return ['session_hold', 'session_progress', 'session_settle', 'usage_charge'].flatMap((name) => {
      const { text } = sqlFunctions().find((each) => each.name === name) as SqlFunction;
      const longer = text.replace(
        /\n?\) RETURNS jsonb/,
        `, p_of_round_${round} bigint DEFAULT NULL) RETURNS jsonb`,
      );
      expect(longer).not.toBe(text);
      const drop = `DO $$ BEGIN EXECUTE 'DROP FUNCTION ' || 'public.${name}'::regproc::oid::regprocedure; END $$`;
      return [drop, longer, `GRANT EXECUTE ON FUNCTION ${name} TO accounting_app`];
    });
  }

  it.each<[what: string, rounds: number, change: (round: number) => string[]]>([
    ['puts every function in place anew', 5, () => []],
    [
      'adds columns to the tables that the functions write',
      4,
      (round) =>
        [
          'credit_balances',
          'credit_allocations',
          'credit_ledger',
          'streaming_sessions',
          'usage_records',
          'usage_daily',
        ].map((table) => `ALTER TABLE ${table} ADD COLUMN of_round_${round} BIGINT NOT NULL DEFAULT 0`),
    ],
    [
      'drops every function and makes it anew while calls wait for a table',
      6,
      (round) => [
        'SET LOCAL check_function_bodies = off',
        `ALTER TABLE credit_balances ADD COLUMN dropped_in_${round} BIGINT`,
        DROPPED_AND_MADE,
      ],
    ],
    ['gives the functions another parameter, with a default', 5, withParameter],
    [
      'adds and validates a CHECK',
      4,
      (round) => [
        `ALTER TABLE usage_records ADD CONSTRAINT ck_round_${round} CHECK (credits >= 0) NOT VALID`,
        `ALTER TABLE usage_records VALIDATE CONSTRAINT ck_round_${round}`,
      ],
    ],
  ])('loses no call and answers nothing but 503 in the worst case, when it %s', async (_, rounds, change) => {
    const users = await Promise.all(Array.from({ length: 8 }, () => userWithCredits(service, 1_000_000)));
    let goesOn = true;
    const load = users.map((user) => streams(user, () => goesOn));
    await migrateUnderLoad(rounds, change).finally(() => (goesOn = false));
    const results = await Promise.all(load);
    const statuses = results.flatMap(({ answers }) => answers.map(({ status }) => status));
    const unexpected = results.flatMap(({ answers }) =>
      answers.filter(({ status }) => ![200, 201, 503].includes(status)),
    );
    const causes = service.logs.filter(({ cause }) => cause).map(({ cause }) => cause);
    expect(
      unexpected.map(({ text }) => text),
      JSON.stringify(causes.slice(-5)),
    ).toEqual([]);
    expect(statuses.length).toBeGreaterThan(rounds * 8);
    for (const [index, { finished }] of results.entries()) {
      // Each stream costs 3, and so does each charge: nothing is lost and nothing is charged twice.
      const balance = await balanceOf(users[index] as HttpClient);
      expect([balance.totalCredits, balance.heldCredits]).toEqual([1_000_000 - finished * 6, 0]);
    }
  });
});
