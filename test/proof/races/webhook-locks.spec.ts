import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventPublisher } from '../../../src/events/event-publisher.js';
import { EventsSweeper } from '../../../src/events/events.sweeper.js';
import { WebhookDeliverer } from '../../../src/events/webhook-deliverer.js';
import { deliver, makeEndpoint, startWithReceiver, writeEvent } from '../../support/events.js';
import { waitingForLocks } from '../../support/hold-up.js';
import type { HttpClient } from '../../support/http-client.js';
import type { TestService } from '../../support/service.js';
import type { WebhookReceiver } from '../../support/webhook-receiver.js';

let service: TestService;
let second: TestService;
let receiver: WebhookReceiver;
let root: HttpClient;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ service, second, receiver, root, close } = await startWithReceiver({ WEBHOOK_TIMEOUT_MS: '5000' }));
});
afterAll(() => close());

const deadlocks = async () =>
  Number(
    (
      await service.owner.query<{ deadlocks: string }>(
        'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
      )
    ).rows[0]?.deadlocks,
  );
const leftOf = async (endpoint: number) => {
  const counts: number[] = [];
  for (const table of ['webhook_lanes', 'webhook_deliveries']) {
    const { rows } = await service.owner.query<{ n: string }>(
      `SELECT count(*) AS n FROM ${table} WHERE endpoint_id = $1`,
      [endpoint],
    );
    counts.push(Number(rows[0]?.n));
  }
  return counts;
};

/** One transaction that goes so far, and then waits for the one that holds the row that comes next. */
async function halfway(statements: string[], values: unknown[]) {
  const client = await service.owner.connect();
  await client.query('BEGIN');
  for (const statement of statements) await client.query(statement, values);
  return async (end: string) => {
    await client.query(end);
    client.release();
  };
}

describe('an endpoint that is deleted', () => {
  it.each(['delivered', 'failed'])(
    'while a delivery is settled as %s: one waits for the other',
    async (came) => {
      const { id } = await makeEndpoint(service, receiver);
      const user = `settled-${came}`;
      await writeEvent(service, user);
      await service.get(EventPublisher).publish();
      const before = await deadlocks();
      const claimed = await service.owner.query<{ lane: { lease: string; deliveryId: number } }>(
        `SELECT webhook_claim(16, 8, 60, '{}') AS lane`,
      );
      const { lease, deliveryId } = claimed.rows[0]?.lane as { lease: string; deliveryId: number };
      // The delete holds its first row: the settlement comes to it before it has a lane that the delete will want.
      const goOn = await halfway(['SELECT FROM webhook_endpoints WHERE id = $1 FOR UPDATE'], [id]);
      const settling = service.owner.query<{ answer: { outcome: string } }>(
        'SELECT webhook_settle($1) AS answer',
        [
          {
            ...{
              endpointId: id,
              accountId: user,
              lease,
              deliveryId,
              isDelivered: came === 'delivered',
              status: 500,
            },
            ...{ pauses: [5], atLeastSeconds: 0, patienceSeconds: 9999 },
          },
        ],
      );
      const deleting = root.delete(`/api/webhooks/${id}`);
      await expect.poll(() => waitingForLocks(service)).toBeGreaterThan(0);
      await goOn('COMMIT');
      expect(['delivered', 'failed', 'stale']).toContain((await settling).rows[0]?.answer.outcome);
      expect((await deleting).status).toBe(204);
      expect(await leftOf(id)).toEqual([0, 0]);
      expect(await deadlocks()).toBe(before);
    },
  );

  it('takes its lanes before its deliveries, so that a settlement that has the lane can end', async () => {
    const { id } = await makeEndpoint(service, receiver);
    await writeEvent(service, 'laned');
    await service.get(EventPublisher).publish();
    // A settlement that has locked its lane, and now writes its delivery.
    const goOn = await halfway(['SELECT FROM webhook_lanes WHERE endpoint_id = $1 FOR UPDATE'], [id]);
    const deleting = root.delete(`/api/webhooks/${id}`);
    await expect.poll(() => waitingForLocks(service)).toBe(1);
    await goOn(
      `SET LOCAL lock_timeout = '500ms'; UPDATE webhook_deliveries SET attempts = 1 WHERE endpoint_id = ${id}; COMMIT`,
    );
    expect((await deleting).status).toBe(204);
    expect(await leftOf(id)).toEqual([0, 0]);
  });
});

describe('everything that may be done to endpoints at once', () => {
  it('waits for one another, never in a circle; nothing fails and nothing is left of what was deleted', async () => {
    const before = await deadlocks();
    let n = 0;
    receiver.reply = () => ({ status: [200, 200, 500, 503, 410][n++ % 5] as number });
    const users = Array.from({ length: 6 }, (_, user) => `storm-${user}`);
    const ids: number[] = [];
    for (let each = 0; each < 3; each++) ids.push((await makeEndpoint(service, receiver)).id);
    const made = [...ids];
    const statuses: number[] = [];
    const ends = Date.now() + 12_000;
    /** One after the other until the time is over, at random endpoints. */
    const again = async (act: (id: number) => Promise<{ status: number } | void>) => {
      while (Date.now() < ends) {
        const answer = await act(ids[Math.floor(Math.random() * ids.length)] as number);
        if (answer !== undefined) statuses.push(answer.status);
      }
    };
    const at = (on: TestService) => root.at(on.url);
    const since = { since: '2026-01-01T00:00:00Z' };
    await Promise.all([
      ...[service, second].flatMap((on) => [
        again(async () => {
          for (const user of users) await writeEvent(service, user);
          await on.get(EventPublisher).publish();
        }),
        again(async () => {
          // Not in the order of the functions: so nothing is waited for.
          await service.owner.query(
            `UPDATE webhook_lanes l SET next_attempt_at = now() FROM (
               SELECT endpoint_id, account_id FROM webhook_lanes WHERE lease IS NULL
                FOR UPDATE SKIP LOCKED) paused
              WHERE l.endpoint_id = paused.endpoint_id AND l.account_id = paused.account_id`,
          );
          await on.get(WebhookDeliverer).deliver();
        }),
        again((id) => at(on).post(`/api/webhooks/${id}/replay`, since)),
        again((id) => at(on).send('PATCH', `/api/webhooks/${id}`, { isActive: Math.random() < 0.8 }, {})),
        again(async (id) => {
          const path = `/api/webhooks/${id}/deliveries`;
          const page = await at(on).get<{ items?: { id: number }[] }>(`${path}?limit=5`);
          const [delivery] = page.body.items ?? [];
          if (delivery !== undefined) return at(on).post(`${path}/${delivery.id}/replay`);
        }),
      ]),
      again(async () => {
        await service.owner.query(
          `UPDATE webhook_deliveries SET status = 'dead' WHERE id IN (
             SELECT id FROM webhook_deliveries WHERE status = 'pending' ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED)`,
        );
      }),
      again(async () => {
        await service.owner.query(
          `UPDATE events SET published_at = now() - interval '40 days' WHERE id IN (
             SELECT id FROM events ORDER BY id LIMIT 20 FOR UPDATE SKIP LOCKED)`,
        );
        await second.get(EventsSweeper).sweep();
      }),
      again(async (id) => {
        const answer = await root.delete(`/api/webhooks/${id}`);
        const created = await makeEndpoint(service, receiver);
        ids[ids.indexOf(id)] = created.id;
        made.push(created.id);
        return answer;
      }),
    ]);
    for (const id of made.filter((one) => !ids.includes(one))) expect(await leftOf(id)).toEqual([0, 0]);
    // Counters of a connection come within a second of its last transaction.
    await new Promise((passed) => setTimeout(passed, 1500));
    expect(await deadlocks()).toBe(before);
    expect([...new Set(statuses)].filter((status) => ![200, 204, 404, 409].includes(status))).toEqual([]);
    // So that it was a storm.
    expect(made.length).toBeGreaterThan(5);
    expect(statuses.length).toBeGreaterThan(30);
    receiver.reply = () => ({ status: 200 });
    await deliver(service);
  });
});
