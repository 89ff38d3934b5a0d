import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEmbeddedDatabase, migrate } from '../../../src/postgres-server/open-database.js';
import type { HttpClient } from '../../support/http-client.js';
import { balanceOf, expectSoundBooks, SONNET, userWithCredits } from '../../support/money.js';
import {
  documented,
  findPostgresTools,
  startCluster,
  startReplica,
  type TestCluster,
} from '../../support/postgres-tools.js';
import { ownerPool, startOn, type TestService } from '../../support/service.js';

const NAME = 'accounting';
const PROGRAMS = ['pg_basebackup', 'psql', 'initdb', 'postgres'];
const tools = findPostgresTools(PROGRAMS);
const why = tools ? '' : ` (SKIPPED: this machine has no PostgreSQL with ${PROGRAMS.join(', ')})`;
if (!tools) process.stderr.write(`Failover is not tested${why}\n`);

const CONFIG = {
  poolSize: 2,
  statementTimeoutMilliseconds: 60_000,
  connectTimeoutMilliseconds: 5000,
  url: undefined,
  migrationUrl: undefined,
  embeddedDirectory: '',
};
interface Load {
  stop: () => Promise<unknown>;
  /** How many charges were acknowledged, and how often one was refused. */
  count: () => number;
  refused: () => number;
}

const CREDITS = 1_000_000;
const LANES = 8;
/** Long enough for a busy machine; the service itself needs a moment. */
const PATIENCE = { timeout: 45_000, interval: 100 };

/** The commands of the runbook. */
const runbook = (block: string) => documented('docs/operations.md', block);

describe.skipIf(!tools)(`a primary that is lost, and its synchronous replica${why}`, () => {
  let primary: TestCluster;
  let replica: TestCluster;
  let owner: pg.Pool;
  let onReplica: pg.Pool;
  let service: TestService;
  let account: string;
  let user: HttpClient;
  /** The ids of charges that were acknowledged. */
  const acknowledged: string[] = [];

  beforeAll(async () => {
    const found = tools as NonNullable<typeof tools>;
    primary = await startCluster(found);
    const { url, ownerUrl } = await createEmbeddedDatabase(primary, NAME);
    await migrate(CONFIG, ownerUrl, 'accounting_app');
    replica = await startReplica(found, primary);
    owner = ownerPool(primary, NAME);
    onReplica = ownerPool(replica, NAME);
    await primary.run(runbook('synchronous'));
    const both = new URL(url);
    const servers = `${primary.host}:${primary.port},${replica.host}:${replica.port}`;
    service = await startOn(url, onReplica, {
      DATABASE_URL: `postgresql://${both.username}:${both.password}@${servers}/${NAME}?target_session_attrs=read-write`,
    });
    user = await userWithCredits(service, CREDITS);
    account = user.userId;
  });
  afterAll(async () => {
    await service?.close();
    await owner?.end();
    await onReplica?.end();
    await replica?.stop();
    await primary?.stop();
  });

  const isReady = async () => (await service.anonymous().get('/health/ready')).status === 200;

  const isSynchronous = async (server: pg.Pool) =>
    (await server.query(`SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')`))
      .rowCount === 1;

  /** Charges without a pause, each repeated until it is acknowledged, until stopped. */
  function load(round: string): Load {
    let goesOn = true;
    let count = 0;
    let refused = 0;
    const lane = async (number: number) => {
      for (let n = 0; goesOn; n++) {
        const charge = { requestId: `${round}-${number}-${n}`, modelId: SONNET, tokens: 1000 };
        for (;;) {
          const { status, text } = await user.post('/api/usage/charge', charge);
          if (status < 300) break;
          expect(status, text).toBe(503);
          refused++;
          await pause(100);
        }
        acknowledged.push(charge.requestId);
        count++;
      }
    };
    const lanes = Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
    return {
      stop: () => {
        goesOn = false;
        return lanes;
      },
      count: () => count,
      refused: () => refused,
    };
  }

  /** What the server has of the charges: each that was acknowledged, once, and no credit more or less. */
  async function expectAllOf(server: pg.Pool): Promise<void> {
    const { rows } = await server.query<{ id: string; credits: string }>(
      'SELECT request_id AS id, credits FROM usage_records WHERE account_id = $1',
      [account],
    );
    expect(rows.map(({ id }) => id).sort()).toEqual([...acknowledged].sort());
    const spent = rows.reduce((sum, { credits }) => sum + Number(credits), 0);
    expect((await balanceOf(user)).totalCredits).toBe(CREDITS - spent);
    await expectSoundBooks(service);
  }

  it('loses no charge that was acknowledged, doubles none, and the service goes on by itself', async () => {
    await expect.poll(() => isSynchronous(owner), PATIENCE).toBe(true);
    const { stop, count, refused } = load('first');
    await expect.poll(count, PATIENCE).toBeGreaterThan(100);
    await primary.crash();
    await expect.poll(isReady, PATIENCE).toBe(false);
    await expect.poll(refused, PATIENCE).toBeGreaterThan(LANES);
    const before = count();
    await replica.run(runbook('promote'));
    await expect.poll(isReady, PATIENCE).toBe(true);
    await expect.poll(count, PATIENCE).toBeGreaterThan(before + 100);
    await stop();
    await expectAllOf(onReplica);
  });

  it('comes back as the replica, which the service leaves alone until it is promoted in turn', async () => {
    await owner.end();
    await primary.run(runbook('rejoin'), { PGHOST: replica.host, PGPORT: String(replica.port) });
    await primary.restart();
    owner = ownerPool(primary, NAME);
    await replica.run(runbook('synchronous'));
    await expect.poll(() => isSynchronous(onReplica), PATIENCE).toBe(true);
    // An instance that starts now finds the replica first in its list.
    const late = await service.another();
    expect((await late.anonymous().get('/health/ready')).status).toBe(200);
    await late.close();

    const { stop, count } = load('second');
    await expect.poll(count, PATIENCE).toBeGreaterThan(50);
    await replica.crash();
    const before = count();
    await primary.run(runbook('promote'));
    await expect.poll(count, PATIENCE).toBeGreaterThan(before + 50);
    await stop();
    await expectAllOf(owner);
  });
});
