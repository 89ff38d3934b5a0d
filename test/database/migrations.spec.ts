import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { EventEndings1795910400000 } from '../../migrations/1795910400000-event-endings.js';
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

  it('leave the functions of the release before in place until the last has made all that the new ones name', () =>
    withDatabaseOf(1, async (before, now) => {
      const BODY = `SELECT prosrc FROM pg_proc WHERE proname = 'usage_record'`;
      const bodyOf = async () => (await before.query<{ prosrc: string }[]>(BODY))[0]?.prosrc;
      const current = await bodyOf();
      const older = `${current}-- of the release before\n`;
      await before.query(
        `CREATE OR REPLACE FUNCTION usage_record(
           p_user varchar, p_at timestamptz, p_service varchar, p_operation varchar, p_credits bigint,
           p_metadata jsonb, p_caller varchar, p_key varchar, p_hash bytea, p_api_key bigint DEFAULT NULL
         ) RETURNS jsonb LANGUAGE plpgsql AS $body$${older}$body$`,
      );
      const seen: unknown[] = [];
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
    }));

  it('tell of no key that ended before there were events of it, and of each that ends afterwards', () =>
    withDatabaseOf(migrations.indexOf(EventEndings1795910400000), async (before, now) => {
      await before.query(
        `INSERT INTO user_accounts (user_id, email, username) VALUES ('u', 'u@example.com', 'u')`,
      );
      await before.query(
        `INSERT INTO api_keys (user_id, key, key_hint, name, expires_at)
         VALUES ('u', repeat('a', 64), 'a', '0', now() - interval '1 day'),
                ('u', repeat('b', 64), 'b', '1', now() + interval '1 day')`,
      );
      await now.runMigrations({ transaction: 'each' });
      const announce = async () =>
        (await now.query('SELECT events_announce_ended_keys(30, 10) AS count')) as unknown;
      expect(await announce()).toEqual([{ count: 0 }]);
      // As time would: the second ends as well, after the first.
      await now.query(
        `UPDATE api_keys SET expires_at = clock_timestamp() + interval '50 milliseconds' WHERE name = '1'`,
      );
      await expect.poll(announce).toEqual([{ count: 1 }]);
      expect(await announce()).toEqual([{ count: 0 }]);
    }));

  /** A database that has the first migrations only, and connections for these and for all of them. */
  async function withDatabaseOf(
    count: number,
    work: (before: DataSource, now: DataSource) => Promise<void>,
  ): Promise<void> {
    const stepwise = `${name}_${count}`;
    const options = dataSourceOptions({
      ...LIMITS,
      url: (await createEmbeddedDatabase(inject('server'), stepwise)).ownerUrl,
    });
    const before = new DataSource({ ...options, migrations: migrations.slice(0, count) });
    const now = new DataSource(options);
    try {
      await before.initialize();
      await before.runMigrations({ transaction: 'each' });
      await now.initialize();
      await work(before, now);
    } finally {
      await now.destroy();
      await before.destroy();
      await admin.query(`DROP DATABASE ${stepwise} WITH (FORCE)`);
    }
  }

  it('refuse to take the first one back, which would delete all credits', async () => {
    const dataSource = new DataSource(dataSourceOptions({ ...LIMITS, url: ownerUrl }));
    await dataSource.initialize();
    // As if the first were the last.
    await dataSource.query(`DELETE FROM migrations WHERE name <> '${migrations[0]?.name}'`);
    await expect(dataSource.undoLastMigration()).rejects.toThrow(/delete all credits/);
    await dataSource.destroy();
  });
});
