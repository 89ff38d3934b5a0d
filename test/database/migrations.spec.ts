import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { sqlFunctions } from '../../migrations/functions.js';
import { migrations } from '../../migrations/index.js';
import { AccountingDataSource } from '../../ormconfig.js';
import { connectionPool } from '../../src/common/database/driver.js';
import { createEmbeddedDatabase, migrate } from '../../src/postgres-server/open-database.js';

const LIMITS = { poolSize: 2, statementTimeoutMilliseconds: 60_000, connectTimeoutMilliseconds: 5000 };
const CONFIG = { ...LIMITS, url: undefined, migrationUrl: undefined, embeddedDirectory: '' };

let name: string;
let url: string;
let ownerUrl: string;
let admin: pg.Client;
beforeAll(async () => {
  const server = inject('server');
  name = `migrations_${randomUUID().replaceAll('-', '')}`;
  admin = new pg.Client({ ...server, database: 'postgres' });
  await admin.connect();
  ({ url, ownerUrl } = await createEmbeddedDatabase(server, name));
});
afterAll(async () => {
  await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
  await admin.end();
});

describe('migrations', () => {
  it('are run once when several instances start at the same moment', async () => {
    await Promise.all(Array.from({ length: 4 }, () => migrate(CONFIG, ownerUrl, 'accounting_app')));
    const client = new pg.Client({ connectionString: ownerUrl });
    await client.connect();
    const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY id');
    await client.end();
    expect(rows.map((row) => row.name)).toEqual(migrations.map((migration) => migration.name));
  });

  it('leave a database with tables of another program as it is, and name them', async () => {
    const foreign = await createEmbeddedDatabase(
      inject('server'),
      `foreign_${randomUUID().replaceAll('-', '')}`,
    );
    const client = new pg.Client({ connectionString: foreign.ownerUrl });
    await client.connect();
    try {
      await client.query(`CREATE TABLE user_accounts (id serial PRIMARY KEY, email text);
                          CREATE TABLE api_keys (id serial); CREATE TABLE migrations (step text);
                          INSERT INTO migrations VALUES ('first')`);
      const relations = async () =>
        (await client.query<{ name: string }>(`SELECT relname AS name FROM pg_class ORDER BY oid`)).rows;
      const before = await relations();
      await expect(migrate(CONFIG, foreign.ownerUrl, 'accounting_app')).rejects.toThrow(
        'The database has tables that this service did not create: api_keys, migrations, user_accounts. Nothing was changed.',
      );
      expect(await relations()).toEqual(before);
      // The table of migrations alone is another program's as well.
      for (const columns of [
        `id serial, migration text, batch integer`,
        `id serial, "timestamp" bigint, name text`,
      ]) {
        await client.query(`DROP TABLE IF EXISTS user_accounts, api_keys, migrations; CREATE TABLE migrations (${columns});
                            INSERT INTO migrations DEFAULT VALUES`);
        await expect(migrate(CONFIG, foreign.ownerUrl, 'accounting_app')).rejects.toThrow(
          'tables that this service did not create: migrations. Nothing was changed.',
        );
      }
    } finally {
      await client.end();
      await admin.query(`DROP DATABASE ${new URL(foreign.ownerUrl).pathname.slice(1)} WITH (FORCE)`);
    }
  });

  it('refuse a role that has a schema of its own, which would come before public', async () => {
    const own = await createEmbeddedDatabase(inject('server'), `own_${randomUUID().replaceAll('-', '')}`);
    const client = new pg.Client({ connectionString: own.ownerUrl });
    await client.connect();
    try {
      await client.query(`DO $$ BEGIN EXECUTE format('CREATE SCHEMA %I', current_user); END $$`);
      await expect(migrate(CONFIG, own.ownerUrl, 'accounting_app')).rejects.toThrow(
        /does not use the schema public but .* search_path = public/s,
      );
    } finally {
      await client.end();
      await admin.query(`DROP DATABASE ${new URL(own.ownerUrl).pathname.slice(1)} WITH (FORCE)`);
    }
  });

  it('wait for another process that has the lock, and say so once', async () => {
    const other = new pg.Client({ connectionString: ownerUrl });
    await other.connect();
    await other.query('SELECT pg_advisory_lock(7215063)');
    const said: string[] = [];
    const migrated = migrate(CONFIG, ownerUrl, 'accounting_app', (line) => said.push(line));
    await expect.poll(() => said, { timeout: 10_000 }).toHaveLength(1);
    await other.end();
    await migrated;
    expect(said).toEqual(['Waiting: another process is migrating the database']);
  });

  it('take no right away, not for a moment, from the instances that run while another one starts', async () => {
    const running = new pg.Client({ connectionString: url });
    await running.connect();
    let starts = 10;
    const starting = (async () => {
      for (; starts > 0; starts--) await migrate(CONFIG, ownerUrl, 'accounting_app');
    })();
    try {
      while (starts > 0) await running.query('SELECT FROM credit_balances LIMIT 1');
    } finally {
      await starting;
      await running.end();
    }
  });

  it('make each column that an entity reads, of its type', async () => {
    const dataSource = new AccountingDataSource(connectionPool({ ...LIMITS, url: ownerUrl }));
    await dataSource.initialize();
    const columns = dataSource.entityMetadatas.flatMap(({ tableName, columns }) =>
      columns
        .filter(({ isVirtualProperty }) => !isVirtualProperty)
        .map((column) => ({
          column: `${tableName}.${column.databaseName}`,
          type: column.isArray ? 'ARRAY' : dataSource.driver.normalizeType(column),
          isNullable: column.isNullable,
        })),
    );
    const made = await dataSource.query<typeof columns>(
      `SELECT table_name || '.' || column_name AS column, data_type AS type, is_nullable = 'YES' AS "isNullable"
         FROM information_schema.columns WHERE table_schema = 'public'`,
    );
    await dataSource.destroy();
    expect(columns.length).toBeGreaterThan(50);
    expect(made).toEqual(expect.arrayContaining(columns));
  });

  describe('install the SQL functions', () => {
    const NAME = 'credit_expire';
    const ANOTHER_TEXT = '0'.repeat(64);
    let owner: DataSource;
    beforeAll(async () => {
      owner = new AccountingDataSource(connectionPool({ ...LIMITS, url: ownerUrl }));
      await owner.initialize();
    });
    afterAll(() => owner.destroy());

    /** The forms in which a function is there, with what a new installation would change. */
    async function formsOf(function_: string) {
      return owner.query<{ signature: string; source: string; version: string; mayCall: boolean }[]>(
        `SELECT oid::regprocedure::text AS signature, prosrc AS source, xmin::text AS version,
                has_function_privilege('accounting_app', oid, 'EXECUTE') AS "mayCall"
           FROM pg_proc WHERE proname = $1`,
        [function_],
      );
    }

    it('anew where the text has changed, and leave the others alone', async () => {
      const [before] = await formsOf(NAME);
      const [other] = await formsOf('credit_revoke');
      await owner.query(
        `CREATE OR REPLACE FUNCTION ${NAME}(p_account varchar, p jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$`,
      );
      await owner.query(`COMMENT ON FUNCTION ${NAME} IS '1.0.0 ${ANOTHER_TEXT}'`);
      await owner.runMigrations();
      const [after] = await formsOf(NAME);
      expect(after?.source).toBe(before?.source);
      expect(await formsOf('credit_revoke')).toEqual([other]);
      const installed = await formsOf(NAME);
      await owner.runMigrations();
      expect(await formsOf(NAME)).toEqual(installed);
    });

    it('in place of a form with other parameters, with the rights of an operation', async () => {
      await owner.query(`DROP FUNCTION ${NAME}`);
      await owner.query(
        `CREATE FUNCTION ${NAME}(p_user varchar) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$`,
      );
      await owner.runMigrations();
      expect(await formsOf(NAME)).toMatchObject([{ mayCall: true }]);
      expect((await formsOf(NAME))[0]?.signature).not.toBe(`${NAME}(character varying)`);
    });

    it('that the service calls, and lets it call no others', async () => {
      for (const { name: function_, isOperation } of sqlFunctions()) {
        const forms = await formsOf(function_);
        expect(
          forms.map(({ mayCall }) => mayCall),
          function_,
        ).toEqual([isOperation]);
      }
    });

    it('anew where the comment is not one of a release', async () => {
      await owner.query(`COMMENT ON FUNCTION ${NAME} IS 'see the runbook'`);
      await owner.query(`COMMENT ON FUNCTION credit_revoke IS '1.0.0 ${ANOTHER_TEXT}'`);
      const before = await formsOf('credit_revoke');
      await owner.runMigrations();
      expect(await formsOf('credit_revoke')).not.toEqual(before);
    });

    it('of a newer release never over again', async () => {
      await owner.query(`COMMENT ON FUNCTION ${NAME} IS '10.0.0 ${ANOTHER_TEXT}'`);
      await owner.query(`COMMENT ON FUNCTION credit_revoke IS '1.0.0 ${ANOTHER_TEXT}'`);
      const before = await formsOf('credit_revoke');
      await owner.runMigrations();
      expect(await formsOf('credit_revoke')).toEqual(before);
    });

    it('of a newer release keep the rights that it has given', async () => {
      await owner.query(`COMMENT ON FUNCTION ${NAME} IS '10.0.0 ${ANOTHER_TEXT}'`);
      await owner.query(
        'CREATE TABLE of_newer_release (); GRANT SELECT ON of_newer_release TO accounting_app',
      );
      await migrate(CONFIG, ownerUrl, 'accounting_app');
      const [row] = await owner.query<{ may: boolean }[]>(
        `SELECT has_table_privilege('accounting_app', 'of_newer_release', 'SELECT') AS may`,
      );
      expect(row?.may).toBe(true);
    });
  });

  it('refuse to take the first one back, which would delete all credits', async () => {
    const dataSource = new AccountingDataSource(connectionPool({ ...LIMITS, url: ownerUrl }));
    await dataSource.initialize();
    // As if the first were the last.
    await dataSource.query(`DELETE FROM migrations WHERE name <> '${migrations[0]?.name}'`);
    await expect(dataSource.undoLastMigration()).rejects.toThrow(/delete all credits/);
    await dataSource.destroy();
  });
});
