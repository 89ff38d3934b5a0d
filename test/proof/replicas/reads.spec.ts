import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEmbeddedDatabase, embeddedUrls, migrate } from '../../../src/postgres-server/open-database.js';
import { startDatabaseProxy } from '../../support/database-proxy.js';
import type { HttpClient } from '../../support/http-client.js';
import { SONNET, userWithCredits } from '../../support/money.js';
import {
  findPostgresTools,
  startCluster,
  startReplica,
  type TestCluster,
} from '../../support/postgres-tools.js';
import { ownerPool, startOn, type TestService } from '../../support/service.js';

const NAME = 'accounting';
const PROGRAMS = ['pg_basebackup', 'initdb', 'postgres'];
const tools = findPostgresTools(PROGRAMS);
const why = tools ? '' : ` (SKIPPED: this machine has no PostgreSQL with ${PROGRAMS.join(', ')})`;
if (!tools) process.stderr.write(`Replicas are not tested${why}\n`);

const CONFIG = {
  poolSize: 2,
  statementTimeoutMilliseconds: 60_000,
  connectTimeoutMilliseconds: 5000,
  url: undefined,
  migrationUrl: undefined,
  embeddedDirectory: '',
};
const MAXIMUM_LAG_SECONDS = 2;

describe.skipIf(!tools)(`statistics from a streaming replica${why}`, () => {
  let primary: TestCluster;
  let replica: TestCluster;
  let onReplica: pg.Pool;
  let owner: pg.Pool;
  let service: TestService;
  let user: HttpClient;
  let charges = 0;

  beforeAll(async () => {
    const found = tools as NonNullable<typeof tools>;
    primary = await startCluster(found);
    const { url, ownerUrl } = await createEmbeddedDatabase(primary, NAME);
    await migrate(CONFIG, ownerUrl, 'accounting_app');
    replica = await startReplica(found, primary);
    owner = ownerPool(primary, NAME);
    onReplica = ownerPool(replica, NAME);
    service = await startOn(url, owner, {
      DATABASE_READ_URL: embeddedUrls(replica, NAME).url,
      READ_MAX_LAG_SECONDS: String(MAXIMUM_LAG_SECONDS),
    });
    user = await userWithCredits(service, 1000);
    await charge();
  });
  afterAll(async () => {
    await service?.close();
    await owner?.end();
    await onReplica?.end();
    await replica?.stop();
    await primary?.stop();
  });

  async function charge(): Promise<void> {
    charges++;
    const answer = await user.post('/api/usage/charge', {
      requestId: `c${charges}`,
      modelId: SONNET,
      tokens: 1000,
    });
    expect(answer.status, answer.text).toBe(201);
  }

  async function chargesInStatistics(): Promise<number> {
    const answer = await user.get<{ totalRecords: number }>('/api/usage/stats');
    expect(answer.status, answer.text).toBe(200);
    return answer.body.totalRecords;
  }

  /** The replica stands still, and statistics that lack the newest charge are its own. */
  async function expectFromReplica(): Promise<void> {
    await expect.poll(chargesInStatistics, { timeout: 10_000 }).toBe(charges);
    await expect
      .poll(
        async () => {
          await onReplica.query('SELECT pg_wal_replay_pause()');
          const before = charges;
          await charge();
          const isOld = (await chargesInStatistics()) === before;
          await onReplica.query('SELECT pg_wal_replay_resume()');
          return isOld;
        },
        { timeout: 15_000, interval: 700 },
      )
      .toBe(true);
  }

  it('are as old as the replica, and no older than the bound', async () => {
    await expectFromReplica();
    await onReplica.query('SELECT pg_wal_replay_pause()');
    await charge();
    const begun = performance.now();
    await expect.poll(chargesInStatistics, { timeout: 20_000, interval: 50 }).toBe(charges);
    // With room for a slow machine: without a bound they would stay old.
    expect(performance.now() - begun).toBeLessThan((MAXIMUM_LAG_SECONDS + 5) * 1000);
    await onReplica.query('SELECT pg_wal_replay_resume()');
    await expectFromReplica();
  });

  it('come from the primary when the replica falls silent, also those under way', async () => {
    const proxy = await startDatabaseProxy(embeddedUrls(replica, NAME).url);
    const other = await service.another({ DATABASE_READ_URL: proxy.url });
    const ask = async () =>
      (await user.at(other.url).get<{ totalRecords: number }>('/api/usage/stats')).body.totalRecords;
    await expect.poll(ask, { timeout: 10_000 }).toBe(charges);
    // It has been asked, and is fresh.
    await expect
      .poll(async () => (await ask(), proxy.taken()), { timeout: 10_000 })
      .toContain('usage_user_stats');
    proxy.silence();
    const begun = performance.now();
    for (let n = 0; n < 5; n++) expect(await ask()).toBe(charges);
    expect(performance.now() - begun).toBeLessThan((MAXIMUM_LAG_SECONDS + 5) * 1000);
    await proxy.close();
    await other.close();
  });

  it('come from the primary while the replica is away, and from the replica when it is back', async () => {
    await onReplica.end();
    await replica.end();
    await charge();
    expect(await chargesInStatistics()).toBe(charges);
    await charge();
    expect(await chargesInStatistics()).toBe(charges);
    await replica.restart();
    onReplica = ownerPool(replica, NAME);
    await expectFromReplica();
  });
});
