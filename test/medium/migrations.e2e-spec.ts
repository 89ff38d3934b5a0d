import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { migrations } from '../../migrations/index.js';
import { dataSourceOptions } from '../../ormconfig.js';
import { createEmbeddedDatabase, migrate } from '../../src/database/open-database.js';

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

  it('make the schema that the entities describe: migration:generate finds nothing to add', async () => {
    const dataSource = new DataSource(dataSourceOptions({ ...LIMITS, url: ownerUrl }));
    await dataSource.initialize();
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    await dataSource.destroy();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('leave the functions of the release before in place until the last has made all that the new ones name', async () => {
    const empty = `${name}_stepwise`;
    const database = await createEmbeddedDatabase(inject('server'), empty);
    const options = dataSourceOptions({ ...LIMITS, url: database.ownerUrl });
    const before = new DataSource({ ...options, migrations: migrations.slice(0, 1) });
    await before.initialize();
    await before.runMigrations({ transaction: 'each' });
    const BODY = `SELECT prosrc FROM pg_proc WHERE proname = 'usage_record'`;
    const bodyOf = async (): Promise<string> =>
      ((await before.query(BODY)) as { prosrc: string }[])[0]?.prosrc ?? '';
    const current = await bodyOf();
    const older = `${current.trimEnd()}\n-- of the release before\n`;
    await before.query(
      `CREATE OR REPLACE FUNCTION usage_record(
         p_user varchar, p_at timestamptz, p_service varchar, p_operation varchar, p_credits bigint, p_metadata jsonb,
         p_caller varchar, p_key varchar, p_hash bytea, p_api_key bigint DEFAULT NULL
       ) RETURNS jsonb LANGUAGE plpgsql AS $body$${older}$body$`,
    );

    const now = new DataSource(options);
    await now.initialize();
    const seen: string[] = [];
    for (const migration of now.migrations) {
      const up = migration.up.bind(migration);
      migration.up = async (runner) => {
        seen.push(await bodyOf());
        await up(runner);
      };
    }
    await now.runMigrations({ transaction: 'each' });
    expect(seen).toEqual(migrations.slice(1).map(() => older));
    expect(await bodyOf()).toBe(current);
    await now.destroy();
    await before.destroy();
    await admin.query(`DROP DATABASE ${empty} WITH (FORCE)`);
  });

  it('refuse to take the first one back, which would delete all credits', async () => {
    const dataSource = new DataSource(dataSourceOptions({ ...LIMITS, url: ownerUrl }));
    await dataSource.initialize();
    // As if the first were the last.
    await dataSource.query(`DELETE FROM migrations WHERE name <> '${migrations[0]?.name}'`);
    await expect(dataSource.undoLastMigration()).rejects.toThrow(/delete all credits/);
    await dataSource.destroy();
  });
});
