import type { EventEmitter } from 'node:events';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { Database } from '../../../src/common/database/database.js';
import { EventPublisher } from '../../../src/events/event-publisher.js';
import { EventsSweeper } from '../../../src/events/events.sweeper.js';
import type { ServerLogin } from '../../../src/postgres-server/open-database.js';
import { asSuperuser } from '../../support/citus.js';
import type { HttpClient } from '../../support/http-client.js';
import {
  balanceOf,
  expectSoundBooks,
  initialize,
  ledgerOf,
  SONNET,
  userWithCredits,
} from '../../support/money.js';
import { documentedOperations, pathWith } from '../../support/operations.js';
import { startService, type TestService } from '../../support/service.js';

const coordinator = inject('citus')[0] as ServerLogin;
let service: TestService;
let boss: HttpClient;
beforeAll(async () => {
  service = await startService({ CREDITS_LOW_THRESHOLD: '990' });
  boss = service.as('boss', { role: 'supervisor' });
});
afterAll(async () => {
  await expectSoundBooks(service);
  await service.close();
});

interface Placement {
  shard: string;
  port: number;
  others: number[];
}

async function placementOf({ userId }: HttpClient): Promise<Placement> {
  const { rows } = await service.owner.query<Placement>(
    `SELECT s.shard, n.nodeport AS port,
            (SELECT array_agg(nodeport) FROM pg_dist_node WHERE shouldhaveshards AND nodeport <> n.nodeport) AS others
       FROM (SELECT get_shard_id_for_distribution_column('credit_balances', $1::varchar) AS shard) s
       JOIN pg_dist_placement p ON p.shardid = s.shard JOIN pg_dist_node n USING (groupid)`,
    [userId],
  );
  return rows[0] as Placement;
}

/** The rows of the account, and of others, go to another server. */
async function move(user: HttpClient): Promise<void> {
  const { shard, port, others } = await placementOf(user);
  const { host } = coordinator;
  const name = new URL(service.databaseUrl).pathname.slice(1);
  await asSuperuser(
    coordinator,
    name,
    `SELECT citus_move_shard_placement(${shard}, '${host}', ${port}, '${host}', ${others[0]}, 'block_writes')`,
  );
  expect((await placementOf(user)).port).not.toBe(port);
}

const charge = (user: HttpClient, requestId: string) =>
  user.post('/api/usage/charge', { requestId, modelId: SONNET, tokens: 1000 });

async function allMovements(user: HttpClient, round: number): Promise<void> {
  const allocated = await boss.post('/api/credits/allocate', { userId: user.userId, credits: 20 + round });
  expect(allocated.status, allocated.text).toBe(201);
  expect((await initialize(user, `s${round}`)).status).toBe(201);
  const finalized = await user.post('/api/streaming-sessions/finalize', {
    ...{ sessionId: `s${round}`, actualTokens: 500, success: true },
  });
  expect(finalized.status, finalized.text).toBe(200);
  const charged = await charge(user, `r${round}`);
  expect(charged.status, charged.text).toBe(201);
  const key = await user.post('/api/api-keys', { name: `k${round}`, permissions: ['credits:read'] });
  expect(key.status, key.text).toBe(201);
}

const pagesOf = async (user: HttpClient, path: string): Promise<Record<string, unknown>[]> => {
  const items: Record<string, unknown>[] = [];
  for (let cursor = ''; ;) {
    const page = await user.get<{ items: Record<string, unknown>[]; nextCursor: string | null }>(
      `${path}?limit=2${cursor}`,
    );
    expect(page.status, page.text).toBe(200);
    items.push(...page.body.items);
    if (page.body.nextCursor === null) return items;
    cursor = `&cursor=${page.body.nextCursor}`;
  }
};

it('an account keeps the order of its ledger, lists and events when it moves to another server and back', async () => {
  const user = await userWithCredits(service, 1000);
  for (let round = 0; round < 3; round++) {
    await allMovements(user, round);
    if (round < 2) await move(user);
  }
  const ledger = (await ledgerOf(user)).reverse();
  for (const [index, { balanceAfter, credits, id }] of ledger.entries()) {
    expect(balanceAfter).toBe((ledger[index - 1]?.balanceAfter ?? 0) + credits);
    expect(id).toBeGreaterThan(ledger[index - 1]?.id ?? 0);
  }
  expect(ledger.at(-1)?.balanceAfter).toBe((await balanceOf(user)).totalCredits);
  expect((await pagesOf(user, '/api/credits/ledger')).map(({ id }) => id)).toEqual(
    ledger.map(({ id }) => id).reverse(),
  );
  // One of the moves has gone to a server whose own ids are lower; the keys' show it.
  const keys = await pagesOf(user, '/api/api-keys');
  expect(keys.map(({ name }) => name)).toEqual(['k2', 'k1', 'k0']);
  const ids = keys.map(({ id }) => id as number);
  expect(ids).not.toEqual([...ids].sort((a, b) => b - a));
  await service.get(EventPublisher).publish();
  const events = await pagesOf(user, '/api/events');
  expect(events.map(({ data }) => (data as { name?: string }).name).filter(Boolean)).toEqual([
    'k2',
    'k1',
    'k0',
  ]);
});

it('an event is published within moments although nothing notifies the coordinator', async () => {
  const sweeping = await service.another({ SWEEP_INTERVAL_SECONDS: '3600', CREDITS_EXPIRING_DAYS: '2' });
  const user = await userWithCredits(service, 1000);
  expect((await charge(user, 'low')).status).toBe(201);
  expect(
    (await user.post('/api/usage/charge', { requestId: 'x', modelId: SONNET, tokens: 5000 })).status,
  ).toBe(201);
  await expect
    .poll(async () => (await pagesOf(user, '/api/events')).map(({ type }) => type), {
      timeout: 5000,
      interval: 50,
    })
    .toEqual(['credits.low']);
  await sweeping.app.close();
});

it('the sweeper announces what expires once, of accounts on every server', async () => {
  const users = await Promise.all(Array.from({ length: 8 }, () => userWithCredits(service, 1000)));
  const ids = users.map(({ userId }) => userId);
  await service.owner.query(
    `UPDATE credit_allocations SET expires_at = now() + interval '1 hour' WHERE account_id = ANY ($1)`,
    [ids],
  );
  expect(new Set(await Promise.all(users.map(async (user) => (await placementOf(user)).port))).size).toBe(2);
  await Promise.all([service.get(EventsSweeper).sweep(), service.get(EventsSweeper).sweep()]);
  await service.get(EventPublisher).publish();
  for (const user of users)
    expect((await pagesOf(user, '/api/events')).map(({ type }) => type)).toEqual(['credits.expiring']);
});

interface Notice {
  message: string | undefined;
  detail: string | undefined;
}

/** What the database does for these requests: what the coordinator sends, and each statement on a shard. */
async function statementsOf(work: (instance: TestService) => Promise<void>): Promise<Notice[]> {
  const name = new URL(service.databaseUrl).pathname.slice(1);
  const set = (value: string) =>
    asSuperuser(
      coordinator,
      name,
      ['citus.log_local_commands', 'citus.log_remote_commands']
        .map((setting) => `ALTER ROLE accounting_app IN DATABASE ${name} SET ${setting} = ${value}`)
        .join('; '),
    );
  await set('on');
  try {
    const instance = await service.another();
    const notices: Notice[] = [];
    const { pools } = instance.get(Database) as unknown as { pools: Record<string, EventEmitter> };
    for (const pool of Object.values(pools))
      pool.on('connect', (client: EventEmitter) =>
        client.on('notice', (notice: Notice) => notices.push(notice)),
      );
    await work(instance);
    await instance.app.close();
    return notices;
  } finally {
    await set('off');
  }
}

it('every statement of a movement goes to the one server and shard of its account', async () => {
  const { userId } = await userWithCredits(service, 10_000);
  const user = service.as(userId);
  await allMovements(user, 100);
  const budget = await boss.post('/api/budgets', {
    ...{ accountId: userId, scope: 'account', unit: 'credits', window: 'day', amount: 100_000 },
  });
  expect(budget.status, budget.text).toBe(201);
  const notices = await statementsOf(async (instance) => {
    const there = user.at(instance.url);
    for (const round of [1, 2, 3]) {
      const sessionId = `hot${round}`;
      expect((await initialize(there, sessionId)).status).toBe(201);
      const progress = await there.post('/api/streaming-sessions/progress', {
        sessionId,
        tokensGenerated: 1500,
      });
      expect(progress.status, progress.text).toBe(200);
      const end = { sessionId, actualTokens: 1200, success: true };
      expect((await there.post('/api/streaming-sessions/finalize', end)).status).toBe(200);
      expect((await charge(there, `hot${round}`)).status).toBe(201);
    }
  });
  const { rows } = await service.owner.query<{ shard: string }>(
    `SELECT s.shardid::text AS shard FROM pg_dist_shard s JOIN pg_dist_partition p USING (logicalrelid)
      WHERE p.partmethod = 'n' OR get_shard_id_for_distribution_column(logicalrelid, $1::varchar) = s.shardid`,
    [userId],
  );
  const allowed = new Set(rows.map(({ shard }) => shard));
  const used = new Map<string, number>();
  for (const { message = '', detail = '' } of notices) {
    // Only the coordinator speaks to another server.
    if (message.startsWith('issuing')) expect(detail, message).not.toContain('from ');
    for (const [, table, shard] of message.matchAll(/\b([a-z_]+)_(\d{6,})\b/g)) {
      expect([...allowed], message).toContain(shard);
      used.set(table as string, (used.get(table as string) ?? 0) + 1);
    }
  }
  for (const table of ['credit_balances', 'credit_allocations', 'credit_ledger', 'streaming_sessions'])
    expect(used.get(table), table).toBeGreaterThan(0);
  for (const table of ['usage_records', 'usage_daily', 'budget_periods', 'pricing_rules'])
    expect(used.get(table), table).toBeGreaterThan(0);
});

it('every route that reads has an answer on a cluster', async () => {
  const user = await userWithCredits(service, 1000);
  await allMovements(user, 7);
  const root = service.as('root', { role: 'admin' });
  const answers: string[] = [];
  for (const operation of (await documentedOperations(service)).values()) {
    if (operation.method !== 'GET' || operation.path.endsWith('/stream')) continue;
    const names = operation.path.match(/(?<=\{)\w+/g) ?? [];
    const parameters = names.map((name) => [name, /user|account/i.test(name) ? user.userId : '1']);
    const { status } = await root.get(
      pathWith(operation, Object.fromEntries(parameters) as Record<string, string>),
    );
    answers.push(`${status} ${operation.path}`);
  }
  expect(answers.length).toBeGreaterThan(40);
  expect(answers.filter((answer) => answer.startsWith('5'))).toEqual([]);
});
