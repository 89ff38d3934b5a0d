import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEmbeddedDatabase, migrate } from '../../../src/postgres-server/open-database.js';
import { balanceOf, expectSoundBooks, SONNET, userWithCredits } from '../../support/money.js';
import {
  documented,
  findPostgresTools,
  startCluster,
  type TestCluster,
} from '../../support/postgres-tools.js';
import { ownerPool, startOn, type TestService } from '../../support/service.js';

const NAME = 'accounting';
const PROGRAMS = ['pg_basebackup', 'psql', 'initdb', 'postgres'];
const tools = findPostgresTools(PROGRAMS);
const why = tools ? '' : ` (SKIPPED: this machine has no PostgreSQL with ${PROGRAMS.join(', ')})`;
if (!tools) process.stderr.write(`Point-in-time recovery is not tested${why}\n`);

const CONFIG = {
  poolSize: 2,
  statementTimeoutMilliseconds: 60_000,
  connectTimeoutMilliseconds: 5000,
  url: undefined,
  migrationUrl: undefined,
  embeddedDirectory: '',
};
const PATIENCE = { timeout: 45_000, interval: 100 };

describe.skipIf(!tools)(`a database that is brought back to a moment${why}`, () => {
  let server: TestCluster;
  let url: string;
  let owner: pg.Pool;
  let service: TestService;

  beforeAll(async () => {
    server = await startCluster(tools as NonNullable<typeof tools>);
    const urls = await createEmbeddedDatabase(server, NAME);
    url = urls.url;
    await migrate(CONFIG, urls.ownerUrl, 'accounting_app');
  });
  afterAll(async () => {
    await service?.close();
    await owner?.end();
    await server?.stop();
  });

  const connect = async () => {
    owner = ownerPool(server, NAME);
    service = await startOn(url, owner);
  };
  const disconnect = async () => {
    await service.close();
    await owner.end();
  };

  it('has every movement until then, none after it, and sound books', async () => {
    const places = { ARCHIVE: join(server.home, 'archive'), BACKUP: join(server.home, 'backup') };
    const follow = (block: string, more: Record<string, string> = {}) =>
      server.run(documented('docs/operations.md', block), { ...places, ...more });
    await follow('archive');
    await server.end();
    await server.restart();
    await connect();
    const user = await userWithCredits(service, 1000);
    const charge = async (requestId: string) => {
      const answer = await user.post('/api/usage/charge', { requestId, modelId: SONNET, tokens: 1000 });
      expect(answer.status, answer.text).toBe(201);
    };
    await charge('in the backup');
    await follow('base-backup');
    await charge('in the archive');
    const before = await balanceOf(user);
    const [now] = (await owner.query<{ moment: string }>('SELECT clock_timestamp()::text AS moment')).rows;
    await charge('a mistake');
    const [end] = (await owner.query<{ file: string }>('SELECT pg_walfile_name(pg_switch_wal()) AS file'))
      .rows;
    const isArchived = async () =>
      (await owner.query('SELECT 1 FROM pg_stat_archiver WHERE last_archived_wal >= $1', [end?.file]))
        .rowCount;
    await expect.poll(isArchived, PATIENCE).toBe(1);
    await disconnect();
    await server.end();

    await server.run('mv "$PGDATA" "$PGDATA.lost"');
    await follow('restore-moment', { MOMENT: now?.moment as string });
    await server.restart();
    const restored = ownerPool(server, NAME);
    const isOpen = async () => (await restored.query('SELECT 1 WHERE NOT pg_is_in_recovery()')).rowCount;
    await expect.poll(isOpen, PATIENCE).toBe(1);
    await restored.end();
    await follow('after-restore');
    await connect();
    const { rows } = await owner.query<{ id: string }>(
      'SELECT request_id AS id FROM usage_records ORDER BY timestamp',
    );
    expect(rows.map(({ id }) => id)).toEqual(['in the backup', 'in the archive']);
    expect((await balanceOf(service.as(user.userId))).totalCredits).toBe(before.totalCredits);
    await expectSoundBooks(service);
  });
});
