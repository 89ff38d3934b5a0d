import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { embeddedUrls } from '../../../src/postgres-server/open-database.js';
import { createDistributedDatabase, startCitus } from '../../support/citus.js';
import type { HttpClient } from '../../support/http-client.js';
import { balanceOf, expectSoundBooks, SONNET, userWithCredits } from '../../support/money.js';
import type { TestCluster } from '../../support/postgres-tools.js';
import { freshUser, ownerPool, startOn, type TestService } from '../../support/service.js';

const NAME = 'accounting';
const CREDITS = 1_000_000;
const USERS = 8;

let directory: string;
let servers: TestCluster[];
let owner: pg.Pool;
let service: TestService;
let users: HttpClient[];
/** The port of the server that an account lies on. */
let ports: Map<string, number>;
const load = { isOn: true };

interface Lane {
  user: HttpClient;
  /** Charges that were acknowledged. */
  charges: number;
  refused: number;
  wrong: string[];
}
let lanes: Lane[];
let running: Promise<unknown>;

/** Charges one call after the other; what gets no answer goes again under the same id. */
async function lane(of: Lane): Promise<void> {
  for (let n = 0; load.isOn; n++) {
    for (let isDone = false; !isDone && load.isOn;) {
      const body = { requestId: `r${n}`, modelId: SONNET, tokens: 1000 };
      const answer = await of.user.post('/api/usage/charge', body).catch(() => undefined);
      if (answer === undefined || answer.status === 503) {
        of.refused++;
        if (answer !== undefined && answer.headers.get('retry-after') === null)
          of.wrong.push('no Retry-After');
        await pause(100);
        continue;
      }
      if (answer.status !== 201 && answer.status !== 200) of.wrong.push(`${answer.status} ${answer.text}`);
      isDone = true;
    }
    if (load.isOn) of.charges++;
    await pause(5);
  }
}

/** New accounts, which every server gets to know in a two-phase commit. */
async function newUsers(): Promise<void> {
  while (load.isOn) {
    await service
      .as(freshUser())
      .get('/api/credits/balance')
      .catch(() => undefined);
    await pause(20);
  }
}

const at = (server: TestCluster) => lanes.filter(({ user }) => ports.get(user.userId) === server.port);
const chargesOf = (some: Lane[]) => some.map(({ charges }) => charges);

/** Each of these lanes goes on by some charges. */
async function goOn(some: Lane[]): Promise<void> {
  const before = chargesOf(some);
  await expect
    .poll(() => some.every(({ charges }, index) => charges > (before[index] as number) + 5), {
      timeout: 45_000,
      interval: 50,
    })
    .toBe(true);
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'accounting-citus-'));
  const settings = ['citus.recover_2pc_interval=1s'];
  servers = await startCitus(process.env.TEST_CITUS as string, directory, 2, settings);
  await createDistributedDatabase(servers, NAME);
  const coordinator = servers[0] as TestCluster;
  owner = ownerPool(coordinator, NAME);
  service = await startOn(embeddedUrls(coordinator, NAME).url, owner, { SWEEP_INTERVAL_SECONDS: '1' });
  users = [];
  for (let n = 0; n < USERS; n++) users.push(await userWithCredits(service, CREDITS));
  const { rows } = await owner.query<{ id: string; port: number }>(
    `SELECT id, nodeport AS port FROM unnest($1::varchar[]) id
       JOIN pg_dist_placement p ON p.shardid = get_shard_id_for_distribution_column('credit_balances', id)
       JOIN pg_dist_node USING (groupid)`,
    [users.map(({ userId }) => userId)],
  );
  ports = new Map(rows.map(({ id, port }) => [id, port]));
  const fresh = { charges: 0, refused: 0 };
  lanes = users.map((user) => ({ user, ...fresh, wrong: [] }));
  running = Promise.all([...lanes.map(lane), newUsers()]);
}, 120_000);
afterAll(async () => {
  load.isOn = false;
  await running;
  await service.app.close();
  await owner.end();
  for (const server of servers) await server.stop();
  await rm(directory, { recursive: true, force: true });
});

it('accounts of other servers go on while a worker is away, and its own when it is back', async () => {
  const [, first, second] = servers as [TestCluster, TestCluster, TestCluster];
  expect(at(first).length).toBeGreaterThan(0);
  expect(at(second).length).toBeGreaterThan(0);
  await goOn(lanes);
  await first.crash();
  const before = chargesOf(at(first));
  await goOn(at(second));
  const meanwhile = chargesOf(at(first)).map((charges, index) => charges - (before[index] as number));
  // One answer may have been on its way.
  expect(Math.max(...meanwhile)).toBeLessThanOrEqual(1);
  await first.restart();
  await goOn(lanes);
}, 120_000);

it('all go on after the coordinator has crashed', async () => {
  await (servers[0] as TestCluster).crash();
  await (servers[0] as TestCluster).restart();
  await goOn(lanes);
}, 120_000);

it('nothing is lost or doubled, and no transaction is left prepared', async () => {
  load.isOn = false;
  await running;
  expect(lanes.flatMap(({ wrong }) => wrong)).toEqual([]);
  for (const { user, charges } of lanes) {
    const page = await owner.query<{ records: string; credits: string }>(
      'SELECT count(*) AS records, sum(credits) AS credits FROM usage_records WHERE account_id = $1',
      [user.userId],
    );
    const { records, credits } = page.rows[0] as { records: string; credits: string };
    // The last call of a lane may have been cut off by its end.
    expect([charges, charges + 1]).toContain(Number(records));
    expect((await balanceOf(user)).totalCredits).toBe(CREDITS - Number(credits));
  }
  await expect
    .poll(
      async () =>
        (
          await owner.query<{ left: string }>(
            `SELECT sum(result::integer) AS left FROM run_command_on_all_nodes('SELECT count(*) FROM pg_prepared_xacts')`,
          )
        ).rows[0]?.left,
      { timeout: 30_000 },
    )
    .toBe('0');
  await expectSoundBooks(service);
}, 120_000);
