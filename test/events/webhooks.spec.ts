// @module-tag cluster
import type { LookupAddress, LookupOptions } from 'node:dns';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EventPublisher } from '../../src/events/event-publisher.js';
import { EventsSweeper } from '../../src/events/events.sweeper.js';
import { WebhookDeliverer } from '../../src/events/webhook-deliverer.js';
import { WebhooksService } from '../../src/events/webhooks.service.js';
import { WebhookSender } from '../../src/events/webhook-sender.js';
import {
  deliver,
  endPauses,
  eventsOf,
  makeEndpoint,
  startWithReceiver,
  writeEvent,
} from '../support/events.js';
import type { HttpClient } from '../support/http-client.js';
import { userWithCredits } from '../support/money.js';
import { expectProblem } from '../support/problems.js';
import type { TestService } from '../support/service.js';
import { isSignedWith, WebhookReceiver } from '../support/webhook-receiver.js';

let service: TestService;
let second: TestService;
let receiver: WebhookReceiver;
let root: HttpClient;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ service, second, receiver, root, close } = await startWithReceiver({ WEBHOOK_TIMEOUT_MS: '1000' }));
});
afterAll(() => close());
beforeEach(async () => {
  await service.owner.query('DELETE FROM webhook_endpoints');
  receiver.received.length = 0;
  receiver.reply = () => ({ status: 204 });
});

interface Delivery {
  id: number;
  eventId: number;
  webhookId: string;
  userId: string;
  status: string;
  attempts: number;
  lastStatus: number | null;
  lastError: string | null;
  nextAttemptAt: string | null;
}

/** Seconds until a user's next attempt. */
async function pauseOf(userId: string): Promise<number | undefined> {
  const { rows } = await service.owner.query<{ pause: number }>(
    `SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 AS pause FROM webhook_lanes
      WHERE account_id = $1`,
    [userId],
  );
  return rows[0]?.pause;
}

/** Nest has one logger for all applications of a process: that of the last one. */
const logged = () => [service, second].flatMap(({ logs }) => logs);

async function deliveriesOf(endpoint: { id: number }, query = ''): Promise<Delivery[]> {
  const answer = await root.get<{ items: Delivery[] }>(`/api/webhooks/${endpoint.id}/deliveries${query}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.body.items;
}

describe('a delivery', () => {
  it('is the event, signed by the Standard Webhooks specification as its library verifies it', async () => {
    const { secret } = await makeEndpoint(service, receiver);
    const user = await userWithCredits(service, 150);
    await root.post('/api/credits/deduct', { userId: user.userId, credits: 60, notes: 'x' });
    await deliver(service);
    const [received, ...more] = receiver.of(user.userId);
    expect(more).toEqual([]);
    const [event] = await eventsOf(service, user);
    expect(received?.event).toEqual(event);
    expect(received?.headers['webhook-id']).toMatch(new RegExp(`^evt_${event?.id}_`));
    expect(isSignedWith(secret, received as never)).toBe(true);
    expect(isSignedWith('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', received as never)).toBe(false);
    expect(isSignedWith(secret, { ...(received as never as object), text: '{}' } as never)).toBe(false);
  });

  it.each(['a test', 'an event'])(
    'bears both signatures during a rotation’s overlap, and then the new one alone: %s',
    async (message) => {
      const { id, secret } = await makeEndpoint(service, receiver);
      const rotated = await root.post<{ secret: string }>(`/api/webhooks/${id}/rotate-secret`, {
        overlapSeconds: 60,
      });
      expect(rotated.body.secret).not.toBe(secret);
      const valid = async () => {
        if (message === 'a test') await root.post(`/api/webhooks/${id}/test`);
        else await writeEvent(service, 'rotating-user');
        await deliver(service);
        const received = receiver.received.at(-1) as never;
        return [isSignedWith(secret, received), isSignedWith(rotated.body.secret, received)];
      };
      expect(await valid()).toEqual([true, true]);
      await service.owner.query(
        `UPDATE webhook_endpoints SET previous_secret_until = now() - interval '1 second'`,
      );
      expect(await valid()).toEqual([false, true]);
      await root.post(`/api/webhooks/${id}/rotate-secret`, { overlapSeconds: 0 });
      expect(await valid()).toEqual([false, false]);
    },
  );

  it('has another webhook-id when an event has the id of one that a failover has lost', async () => {
    await makeEndpoint(service, receiver);
    for (const userId of ['lost-user', 'later-user']) {
      await writeEvent(service, userId);
      await deliver(service);
      await service.owner.query(`SELECT setval('events_id_seq', max(id), FALSE) FROM events`);
      await service.owner.query('DELETE FROM events');
    }
    const [first, second] = receiver.received;
    expect(first?.event.id).toBe(second?.event.id);
    expect(first?.headers['webhook-id']).not.toBe(second?.headers['webhook-id']);
  });

  it('goes to the endpoints that want its type, and are switched on', async () => {
    const others = await Promise.all([new WebhookReceiver().start(), new WebhookReceiver().start()]);
    const [off, keys] = others;
    await makeEndpoint(service, receiver, { eventTypes: ['credits.exhausted'] });
    await makeEndpoint(service, off, { isActive: false });
    await makeEndpoint(service, keys, { eventTypes: ['api_key.created', 'api_key.revoked'] });
    const user = service.as();
    await writeEvent(service, user.userId);
    await user.post('/api/api-keys', { name: 'k' });
    await deliver(service);
    const typesAt = (at: WebhookReceiver) => at.received.map(({ event }) => event.type);
    expect([typesAt(receiver), typesAt(off), typesAt(keys)]).toEqual([
      ['credits.exhausted'],
      [],
      ['api_key.created'],
    ]);
    for (const other of others) await other.stop();
  });

  it('is made in the order of each user; one that fails holds back this user’s later ones and no other user’s', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const failing = new Set(['bad-user']);
    receiver.reply = ({ event }) => ({ status: failing.has(event.userId) ? 500 : 200 });
    for (let n = 0; n < 5; n++)
      for (const userId of ['bad-user', 'good-user', 'third-user'])
        await writeEvent(service, userId, { credits: n });
    await deliver(service);
    await endPauses(service);
    await deliver(second);
    const numbersOf = (userId: string) => receiver.of(userId).map(({ event }) => event.data.credits);
    expect(numbersOf('good-user')).toEqual([0, 1, 2, 3, 4]);
    expect(numbersOf('third-user')).toEqual([0, 1, 2, 3, 4]);
    expect(numbersOf('bad-user')).toEqual([0, 0]);
    const waiting = await deliveriesOf(endpoint, '?status=pending');
    expect(waiting.map(({ attempts }) => attempts)).toEqual([0, 0, 0, 0, 2]);
    failing.clear();
    await endPauses(service);
    await deliver(service);
    expect(numbersOf('bad-user')).toEqual([0, 0, 0, 1, 2, 3, 4]);
    expect(new Set(receiver.of('bad-user').map(({ headers }) => headers['webhook-id'])).size).toBe(5);
    expect(await deliveriesOf(endpoint, '?status=pending')).toEqual([]);
  });

  it('is tried again with growing pauses for more than a day, then dead, and the next one is due', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = ({ event }) => ({ status: event.data.credits === 0 ? 503 : 200 });
    await writeEvent(service, 'dead-user', { credits: 0 });
    await writeEvent(service, 'dead-user', { credits: 1 });
    const pauses: number[] = [];
    await deliver(service);
    while ((await deliveriesOf(endpoint, '?status=dead')).length === 0) {
      pauses.push((await pauseOf('dead-user')) as number);
      await endPauses(service);
      await deliver(service);
    }
    expect(pauses.length).toBe(11);
    for (const [index, pause] of pauses.entries())
      expect(pause).toBeGreaterThan((pauses[index - 1] ?? 0) * 0.7);
    expect(pauses.reduce((sum, pause) => sum + pause, 0)).toBeGreaterThan(86_400);
    expect((await deliveriesOf(endpoint)).map(({ status, attempts }) => [status, attempts])).toEqual([
      ['delivered', 1],
      ['dead', 12],
    ]);
    expect(logged()).toContainEqual(expect.objectContaining({ msg: 'a webhook delivery is given up' }));
  });

  it.each([
    ['so many seconds', '600', 590, 601],
    ['more than an hour', '86400', 3590, 3601],
    ['more than any number holds', '9'.repeat(400), 3590, 3601],
    ['seconds with an exponent', '1e300', 3590, 3601],
    ['a date far ahead', 'Fri, 01 Jan 2100 00:00:00 GMT', 3590, 3601],
    ['a date in ten minutes', new Date(Date.now() + 600_000).toUTCString(), 500, 601],
    ['a date that has passed', 'Thu, 01 Jan 1970 00:00:00 GMT', 3, 7],
    ['no time at all', '0', 3, 7],
    ['less than nothing', '-86400', 3, 7],
    ['nonsense', 'in a moment', 3, 7],
  ])('heeds a receiver up to an hour that asks for %s', async (_, header, least, most) => {
    await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 503, headers: { 'retry-after': header } });
    await writeEvent(service, 'patient-user');
    await deliver(service);
    const pause = await pauseOf('patient-user');
    expect(pause).toBeGreaterThan(least);
    expect(pause).toBeLessThan(most);
  });

  it('is sent over a connection of its own: an address that was looked at is not used for another name', async () => {
    await makeEndpoint(service, receiver);
    const before = receiver.connections;
    for (let n = 0; n < 5; n++) await writeEvent(service, 'one-user', { credits: n });
    await deliver(service);
    expect(receiver.received).toHaveLength(5);
    expect(receiver.connections - before).toBe(5);
  });

  it.each<[string, WebhookReceiver['reply'], RegExp]>([
    ['a silent receiver', () => ({ status: 0, isSilent: true }), /^no answer in time$/],
    [
      'a receiver that does not come to an end',
      () => ({ status: 200, body: 'x', isEndless: true }),
      /^no answer in time$/,
    ],
    [
      'a redirection',
      () => ({ status: 307, headers: { location: `${receiver.url}/elsewhere` } }),
      /^answered 307$/,
    ],
    [
      'a receiver that changes the protocol',
      () => ({ status: 101, headers: { connection: 'Upgrade', upgrade: 'x' } }),
      /^the connection failed$/,
    ],
    ['a fault', () => ({ status: 500, body: 'secret of the receiver' }), /^answered 500$/],
  ])('fails for %s, once, and says why without a word of the receiver', async (_, reply, error) => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = reply;
    await writeEvent(service, 'any-user');
    await deliver(service);
    expect(receiver.received).toHaveLength(1);
    const [delivery] = await deliveriesOf(endpoint);
    expect(delivery).toMatchObject({ status: 'pending', attempts: 1 });
    expect(delivery?.lastError).toMatch(error);
  });

  it('reads no more than a little of what a receiver says', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 200, body: 'x'.repeat(1_000_000), isEndless: true });
    await writeEvent(service, 'any-user');
    await deliver(service);
    expect(await deliveriesOf(endpoint)).toEqual([expect.objectContaining({ status: 'delivered' })]);
  });

  it('is made by one of two instances that look at the same time', async () => {
    await makeEndpoint(service, receiver);
    for (let n = 0; n < 60; n++) await writeEvent(service, `shared-${n % 20}`, { credits: n });
    await Promise.all([deliver(service), deliver(second), deliver(service), deliver(second)]);
    await Promise.all([deliver(service), deliver(second)]);
    expect(receiver.received).toHaveLength(60);
    for (let user = 0; user < 20; user++) {
      const numbers = receiver.of(`shared-${user}`).map(({ event }) => event.data.credits as number);
      expect(numbers).toEqual([user, user + 20, user + 40]);
    }
  });

  it('of an instance that died is made by another when the lease has ended', async () => {
    await makeEndpoint(service, receiver);
    await writeEvent(service, 'orphan-user');
    await service.owner.query('SELECT events_publish(10)');
    await service.owner.query(`SELECT webhook_claim(16, 8, 3600, '{}')`);
    await deliver(service);
    expect(receiver.received).toHaveLength(0);
    await endPauses(service);
    await deliver(service);
    expect(receiver.received).toHaveLength(1);
  });
});

describe('endpoints that never answer', () => {
  it.each([2, 10])('take no other one’s turn: %i of them beside one that is well', async (count) => {
    const silent = await new WebhookReceiver().start();
    silent.reply = () => ({ status: 204, isSilent: true });
    for (let n = 0; n < count; n++) await makeEndpoint(service, silent);
    await makeEndpoint(service, receiver);
    for (let user = 0; user < 60; user++) await writeEvent(service, `beside-${user}`);
    await service.get(EventPublisher).publish();
    service.get(WebhookDeliverer).wake();
    await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(60);
    // They would have had nearly all of theirs first.
    expect(silent.received.length).toBeLessThan(60);
    await service.owner.query('DELETE FROM webhook_endpoints');
    await service.get(WebhookDeliverer).deliver();
    await silent.stop();
  });

  it('have one delivery each under way and half of the room in all, and take turns', async () => {
    const made = await Promise.all(Array.from({ length: 10 }, () => makeEndpoint(service, receiver)));
    const well = await makeEndpoint(service, receiver);
    for (const user of ['a', 'b', 'c']) await writeEvent(service, `turns-${user}`);
    await service.get(EventPublisher).publish();
    const { owner } = service;
    await owner.query('UPDATE webhook_endpoints SET failing_since = now() WHERE id <> $1', [well.id]);
    type Claimed = { endpointId: number; accountId: string; lease: string; deliveryId: number };
    const claim = async (free: number, underWay: object) =>
      (
        await owner.query<{ lane: Claimed }>('SELECT webhook_claim($1, 8, 60, $2) AS lane', [free, underWay])
      ).rows.map(({ lane }) => lane);
    const failingOf = (lanes: Claimed[]) =>
      lanes.map(({ endpointId }) => endpointId).filter((id) => id !== well.id);
    const first = await claim(16, {});
    expect(first).toHaveLength(11);
    expect(new Set(failingOf(first)).size).toBe(8);
    const underWay = Object.fromEntries(failingOf(first).map((id) => [id, 1]));
    expect(await claim(8, underWay)).toEqual([]);
    for (const { endpointId, accountId, lease, deliveryId } of first) {
      const attempt = {
        isDelivered: endpointId === well.id,
        pauses: [5],
        atLeastSeconds: 0,
        patienceSeconds: 9999,
      };
      await owner.query('SELECT webhook_settle($1)', [
        { endpointId, accountId, lease, deliveryId, ...attempt },
      ]);
    }
    const next = failingOf(await claim(16, {}));
    expect(next).toHaveLength(8);
    expect(next).toEqual(
      expect.arrayContaining(made.map(({ id }) => id).filter((id) => !failingOf(first).includes(id))),
    );
  });
});

describe('an endpoint', () => {
  it('is switched off after five days without a success, with a line in the log; switched on it gets what waited', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 500 });
    await writeEvent(service, 'long-user');
    await deliver(service);
    await service.owner.query(`UPDATE webhook_endpoints SET failing_since = now() - interval '121 hours'`);
    await endPauses(service);
    await deliver(service);
    const shown = await root.get(`/api/webhooks/${endpoint.id}`);
    expect(shown.body).toMatchObject({ isActive: false, disabledReason: 'failing' });
    expect(logged()).toContainEqual(
      expect.objectContaining({ level: 50, msg: 'a webhook endpoint is switched off' }),
    );
    const metrics = (await service.anonymous().get('/metrics')).text;
    expect(metrics).toMatch(/^accounting_webhooks_disabled 1$/m);
    receiver.reply = () => ({ status: 200 });
    await endPauses(service);
    await deliver(service);
    expect(receiver.received).toHaveLength(2);
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: true }, {});
    await deliver(service);
    expect(receiver.received).toHaveLength(3);
  });

  it('that is switched on again begins with the first pause, however often it had failed', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 500 });
    await writeEvent(service, 'patient-user');
    await deliver(service);
    await service.owner.query('UPDATE webhook_lanes SET attempts = 8');
    for (const isActive of [false, true])
      await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive }, {});
    await deliver(service);
    expect(receiver.received).toHaveLength(2);
    expect(await pauseOf('patient-user')).toBeLessThan(7);
  });

  it('that gets another URL is sent there at once what has failed', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const other = await new WebhookReceiver().start();
    receiver.reply = () => ({ status: 500 });
    await writeEvent(service, 'moved-user');
    await deliver(service);
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { url: other.url }, {});
    await deliver(service);
    expect([receiver.received.length, other.received.length]).toEqual([1, 1]);
    expect(await deliveriesOf(endpoint)).toMatchObject([{ status: 'delivered', attempts: 2 }]);
    await other.stop();
  });

  it('is one of a hundred at most, also when many are made at once', async () => {
    await service.owner.query(
      `INSERT INTO webhook_endpoints (url, secret, created_by, is_active)
       SELECT 'https://hooks.example/', 'x', 'root', FALSE FROM generate_series(1, 95)`,
    );
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        (n % 2 === 0 ? root : root.at(second.url)).post('/api/webhooks', { url: receiver.url }),
      ),
    );
    const refused = made.filter(({ status }) => status !== 201);
    expect(refused).toHaveLength(7);
    for (const answer of refused) expectProblem(answer, 409, { code: 'webhook.too_many' });
  });

  it('shows its last attempt, and how much waits and was given up', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const shown = async () => (await root.get(`/api/webhooks/${endpoint.id}`)).body;
    const none = { lastAttemptAt: null, lastStatus: null, lastError: null };
    expect(await shown()).toMatchObject({ ...none, waitingDeliveries: 0, deadDeliveries: 0 });
    receiver.reply = ({ event }) => ({ status: event.userId === 'bad-user' ? 500 : 200 });
    for (const userId of ['good-user', 'bad-user', 'bad-user']) await writeEvent(service, userId);
    await deliver(service);
    await endPauses(service);
    await deliver(service);
    const failed = { lastStatus: 500, lastError: 'answered 500', waitingDeliveries: 2, deadDeliveries: 0 };
    expect(await shown()).toMatchObject({ ...failed, lastAttemptAt: expect.any(String) as string });
    await service.owner.query('UPDATE webhook_lanes SET attempts = 11');
    await endPauses(service);
    await deliver(service);
    expect(await shown()).toMatchObject({ ...failed, waitingDeliveries: 1, deadDeliveries: 1 });
    const list = await root.get<{ items: object[] }>('/api/webhooks');
    expect(list.body.items).toEqual([await shown()]);
  });

  it('is switched off at once when it says that it is gone', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 410 });
    await writeEvent(service, 'gone-user');
    await deliver(service);
    expect((await root.get(`/api/webhooks/${endpoint.id}`)).body).toMatchObject({ disabledReason: 'gone' });
  });

  it('shows its secret at its creation and rotation only; it is changed, tested and deleted', async () => {
    const { id, secret } = await makeEndpoint(service, receiver, { description: 'mine' });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    for (const path of ['/api/webhooks', `/api/webhooks/${id}`])
      expect((await root.get(path)).text).not.toContain(secret.slice(6));
    const changed = await root.send<object>(
      'PATCH',
      `/api/webhooks/${id}`,
      { eventTypes: ['credits.low'], description: null },
      {},
    );
    expect(changed.body).toMatchObject({ eventTypes: ['credits.low'], description: null, isActive: true });
    receiver.reply = () => ({ status: 418 });
    const tested = await root.post(`/api/webhooks/${id}/test`);
    expect(tested.body).toMatchObject({ isDelivered: false, status: 418, error: 'answered 418' });
    expect(receiver.received[0]?.event.type).toBe('webhook.test');
    expect((await root.delete(`/api/webhooks/${id}`)).status).toBe(204);
    for (const call of [
      root.get(`/api/webhooks/${id}`),
      root.delete(`/api/webhooks/${id}`),
      root.post(`/api/webhooks/${id}/test`),
      root.post(`/api/webhooks/${id}/rotate-secret`),
      root.get(`/api/webhooks/${id}/deliveries`),
      root.post(`/api/webhooks/${id}/replay`, { since: '2026-01-01T00:00:00Z' }),
      root.send<object>('PATCH', `/api/webhooks/${id}`, { isActive: true }, {}),
    ])
      expectProblem(await call, 404, { code: 'webhook.not_found' });
  });

  it('has its secret encrypted in the database where a key is set, and says so when the key is another', async () => {
    const keyed = await service.another({ WEBHOOK_SECRETS_KEY: 'k'.repeat(32) });
    const { id, secret } = await makeEndpoint(keyed, receiver);
    const { rows } = await service.owner.query<{ secret: string }>('SELECT secret FROM webhook_endpoints');
    expect(rows[0]?.secret).toMatch(/^aes-256-gcm:/);
    expect(JSON.stringify(rows)).not.toContain(secret.slice(6));
    await keyed.as('root', { role: 'admin' }).post(`/api/webhooks/${id}/test`);
    expect(isSignedWith(secret, receiver.received[0] as never)).toBe(true);
    const other = await service.another({ WEBHOOK_SECRETS_KEY: 'o'.repeat(32) });
    for (const on of [other, service]) {
      const { body } = await on.as('root', { role: 'admin' }).post(`/api/webhooks/${id}/test`);
      expect(body).toMatchObject({
        isDelivered: false,
        error: expect.stringContaining('WEBHOOK_SECRETS_KEY'),
      });
    }
    await keyed.close();
    await other.close();
  });
});

describe('an endpoint for which very many users wait', () => {
  const USERS = 25_000;
  const SWITCH_OFF = { isActive: false };

  /** Each has failed eight times, and is to be tried again in an hour. */
  async function makeCrowded(): Promise<string> {
    const { id } = await makeEndpoint(service, receiver);
    await service.owner.query(
      `INSERT INTO webhook_lanes (endpoint_id, account_id, attempts, next_attempt_at)
       SELECT $1, 'crowd-' || n, 8, now() + interval '1 hour' FROM generate_series(1, ${USERS}) n`,
      [id],
    );
    return `/api/webhooks/${id}`;
  }
  /** How many users wait as they did, and how many of the others begin anew now. */
  const lanes = async () =>
    (
      await service.owner.query<{ as_before: number; anew: number }>(
        `SELECT count(*) FILTER (WHERE attempts = 8 AND next_attempt_at > now())::integer AS as_before,
                count(*) FILTER (WHERE attempts = 0 AND next_attempt_at <= now())::integer AS anew
           FROM webhook_lanes`,
      )
    ).rows[0];
  /** While this is done, another has a lane of each user in hand. */
  async function whileLanesAreLocked<T>(act: () => Promise<T>): Promise<T> {
    const other = await service.owner.connect();
    await other.query('BEGIN; SELECT FROM webhook_lanes FOR UPDATE');
    return act().finally(async () => {
      await other.query('ROLLBACK');
      other.release();
    });
  }

  it('is switched off without a look at them, by an admin or by its own answer', async () => {
    const path = await makeCrowded();
    await whileLanesAreLocked(async () => {
      expect((await root.send('PATCH', path, SWITCH_OFF, {})).body).toMatchObject(SWITCH_OFF);
    });
    await root.delete(path);
    await second.get(WebhooksService).sweep();

    const crowded = await makeCrowded();
    receiver.reply = () => ({ status: 410 });
    await writeEvent(service, 'gone-user');
    await service.get(EventPublisher).publish();
    const crowd = await service.owner.connect();
    await crowd.query(`BEGIN; SELECT FROM webhook_lanes WHERE account_id LIKE 'crowd-%' FOR UPDATE`);
    await service.get(WebhookDeliverer).deliver();
    await crowd.query('ROLLBACK');
    crowd.release();
    expect((await root.get(crowded)).body).toMatchObject({ isActive: false, disabledReason: 'gone' });
    expect(await lanes()).toMatchObject({ as_before: USERS });
  });

  it('is switched on in parts: when its instance dies after the first, another goes on', async () => {
    const path = await makeCrowded();
    await root.send('PATCH', path, SWITCH_OFF, {});
    expect((await root.send('PATCH', path, { isActive: true }, {})).status).toBe(200);
    expect(await lanes()).toEqual({ as_before: 15_000, anew: 10_000 });
    await second.get(WebhooksService).sweep();
    expect(await lanes()).toEqual({ as_before: 0, anew: USERS });
    // Once: what fails again from now on has its pauses.
    await service.owner.query(
      `UPDATE webhook_lanes SET attempts = 8, next_attempt_at = now() + interval '1 hour'`,
    );
    await second.get(WebhooksService).sweep();
    expect(await lanes()).toEqual({ as_before: USERS, anew: 0 });
  });

  it('is deleted in parts: it is gone at once, and when its instance dies after the first, another goes on', async () => {
    const path = await makeCrowded();
    await service.owner.query(
      `WITH made AS (INSERT INTO events (account_id, type, occurred_at, data)
                     SELECT account_id, 'credits.exhausted', now(), '{}' FROM webhook_lanes RETURNING account_id, id)
       INSERT INTO webhook_deliveries (endpoint_id, account_id, event_id)
       SELECT (SELECT max(id) FROM webhook_endpoints), account_id, id FROM made`,
    );
    expect((await root.delete(path)).status).toBe(204);
    expect(await lanes()).toEqual({ as_before: 15_000, anew: 0 });
    const inList = await root.get<{ items: object[] }>('/api/webhooks');
    expect(inList.body.items).toEqual([]);
    for (const call of [
      root.get(path),
      root.delete(path),
      root.get(`${path}/deliveries`),
      root.post(`${path}/rotate-secret`),
      root.send<object>('PATCH', path, { isActive: true }, {}),
    ])
      expectProblem(await call, 404, { code: 'webhook.not_found' });
    const sweeping = await service.another({ SWEEP_INTERVAL_SECONDS: '1' });
    const left = () => service.owner.query('SELECT FROM webhook_endpoints');
    await expect.poll(async () => (await left()).rowCount, { timeout: 10_000 }).toBe(0);
    await sweeping.close();
    const { rowCount } = await service.owner.query(
      'SELECT FROM webhook_lanes UNION ALL SELECT FROM webhook_deliveries',
    );
    expect(rowCount).toBe(0);
  });
});

describe('a replay', () => {
  it('delivers one again whatever became of it, under the same webhook-id', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    await writeEvent(service, 'again-user');
    await deliver(service);
    const [delivery] = await deliveriesOf(endpoint);
    expect(receiver.received[0]?.headers['webhook-id']).toBe(delivery?.webhookId);
    const path = `/api/webhooks/${endpoint.id}/deliveries`;
    expect((await root.post(`${path}/${delivery?.id}/replay`)).body).toMatchObject({ status: 'pending' });
    await deliver(service);
    expect(receiver.received).toHaveLength(2);
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expectProblem(await root.post(`${path}/999999999/replay`), 404, { code: 'webhook.delivery_not_found' });
  });

  it('since a time delivers what is dead and what was missed while it was switched off, in order', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    await writeEvent(service, 'back-user', { credits: 0 });
    await deliver(service);
    await service.owner.query(`UPDATE webhook_deliveries SET status = 'dead'`);
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: false }, {});
    for (const credits of [1, 2, 3]) await writeEvent(service, 'back-user', { credits });
    await deliver(service);
    expect(receiver.received).toHaveLength(1);
    const since = { since: '2026-01-01T00:00:00Z' };
    const replay = () => root.post(`/api/webhooks/${endpoint.id}/replay`, since);
    expectProblem(await replay(), 409, { code: 'webhook.inactive' });
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: true }, {});
    expect((await replay()).body).toEqual({ replayed: 4, nextCursor: null });
    await deliver(service);
    expect(receiver.received.map(({ event }) => event.data.credits)).toEqual([0, 0, 1, 2, 3]);
    expect((await replay()).body).toEqual({ replayed: 0, nextCursor: null });
  });
});

describe('a replay of many', () => {
  it('takes only what is since then, of the types that the endpoint wants, and since it is there', async () => {
    await writeEvent(service, 'early-user');
    await deliver(service);
    const endpoint = await makeEndpoint(service, receiver, { eventTypes: ['credits.exhausted'] });
    receiver.reply = () => ({ status: 200 });
    for (const userId of ['old-user', 'new-user']) await writeEvent(service, userId);
    await deliver(service);
    await service.owner.query(`UPDATE webhook_deliveries SET status = 'dead'`);
    await service.owner.query(
      `UPDATE events SET published_at = now() - interval '2 hours' WHERE account_id = 'old-user'`,
    );
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: false }, {});
    await service.as('key-user').post('/api/api-keys', { name: 'k' });
    await deliver(service);
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: true }, {});
    const replay = (hours: number) =>
      root.post(`/api/webhooks/${endpoint.id}/replay`, {
        since: new Date(Date.now() - hours * 3_600_000).toISOString(),
      });
    receiver.received.length = 0;
    expect((await replay(1)).body).toEqual({ replayed: 1, nextCursor: null });
    await deliver(service);
    expect(receiver.received.map(({ event }) => event.userId)).toEqual(['new-user']);
    expect((await replay(24)).body).toEqual({ replayed: 1, nextCursor: null });
    await deliver(service);
    expect(receiver.received.map(({ event }) => event.userId)).toEqual(['new-user', 'old-user']);
  });

  const replayPart = async (id: number, after: number | null, limit: number, most: number) => {
    const { rows } = await service.owner.query<{ part: { replayed: number; after: number | null } }>(
      `SELECT webhook_replay($1, NULL, now() - interval '1 day', $2, $3, $4) AS part`,
      [id, after, limit, most],
    );
    return rows[0]?.part ?? { replayed: NaN, after: null };
  };

  it('looks at so many events at a time, and says how far it came', async () => {
    const { id } = await makeEndpoint(service, receiver);
    for (let n = 0; n < 7; n++) await writeEvent(service, `far-${n}`);
    await deliver(service);
    await service.owner.query(
      `UPDATE webhook_deliveries SET status = 'dead' WHERE endpoint_id = $1 AND account_id IN ('far-3', 'far-4', 'far-6')`,
      [id],
    );
    await service.owner.query(
      `UPDATE events SET published_at = now() - interval '2 days' WHERE account_id NOT LIKE 'far-%'`,
    );
    const parts: number[] = [];
    let after: number | null = null;
    do {
      const part = await replayPart(id, after, 100, 2);
      parts.push(part.replayed);
      after = part.after;
    } while (after !== null);
    expect(parts).toEqual([0, 1, 1, 1]);
    await service.owner.query(`UPDATE webhook_deliveries SET status = 'dead' WHERE account_id LIKE 'far-%'`);
    const cut = await replayPart(id, null, 1, 100);
    expect([cut.replayed, (await replayPart(id, cut.after, 100, 100)).replayed]).toEqual([1, 6]);
    const cursor = (text: string) =>
      root.post(`/api/webhooks/${id}/replay`, { since: '2026-01-01T00:00:00Z', cursor: text });
    expect((await cursor(Buffer.from(String(cut.after)).toString('base64url'))).status).toBe(200);
    expectProblem(await cursor('no cursor'), 400, { field: 'cursor' });
  });

  it('takes so many at a time, the oldest first, and goes on where it was', async () => {
    const { id } = await makeEndpoint(service, receiver);
    for (let n = 0; n < 4; n++) await writeEvent(service, `user-${n}`, { credits: n });
    await deliver(service);
    await service.owner.query(`UPDATE webhook_deliveries SET status = 'dead'`);
    await root.send('PATCH', `/api/webhooks/${id}`, { isActive: false }, {});
    for (let n = 4; n < 7; n++) await writeEvent(service, `user-${n}`, { credits: n });
    await deliver(service);
    await root.send('PATCH', `/api/webhooks/${id}`, { isActive: true }, {});
    receiver.received.length = 0;
    for (const expected of [[0, 1, 2], [3, 4, 5], [6]]) {
      const { replayed } = await replayPart(id, null, 3, 100);
      expect(replayed).toBe(expected.length);
      await deliver(service);
      const numbers = receiver.received.splice(0).map(({ event }) => event.data.credits as number);
      expect(numbers.sort()).toEqual(expected);
    }
  });

  it('of one that is dead gives it all its attempts again', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 500 });
    await writeEvent(service, 'again-user');
    await writeEvent(service, 'again-user');
    await deliver(service);
    await service.owner.query('UPDATE webhook_lanes SET attempts = 11');
    await endPauses(service);
    await deliver(service);
    const [dead] = await deliveriesOf(endpoint, '?status=dead');
    await service.owner.query('UPDATE webhook_lanes SET attempts = 9');
    await root.post(`/api/webhooks/${endpoint.id}/deliveries/${dead?.id}/replay`);
    await deliver(service);
    expect(await pauseOf('again-user')).toBeLessThan(7);
    expect(await deliveriesOf(endpoint, '?status=dead')).toEqual([]);
  });
});

describe('retention', () => {
  const age = (userId: string, interval: string) =>
    service.owner.query(`UPDATE events SET published_at = now() - $2::interval WHERE account_id = $1`, [
      userId,
      interval,
    ]);
  const left = async () =>
    (
      await service.owner.query<{ account_id: string }>(
        'SELECT DISTINCT account_id FROM events ORDER BY account_id',
      )
    ).rows.map((row) => row.account_id);
  beforeEach(() => service.owner.query('DELETE FROM events'));

  it('forgets by days: younger ones stay, and all older ones go in one pass', async () => {
    await writeEvent(service, 'young');
    await writeEvent(service, 'old');
    await deliver(service);
    await service.owner.query(
      `INSERT INTO events (account_id, type, occurred_at, data, published_at)
       SELECT 'many', 'credits.exhausted', now(), '{}', now() - interval '40 days' FROM generate_series(1, 1600)`,
    );
    await age('young', '29 days 23 hours');
    await age('old', '30 days 1 minute');
    await service.get(EventsSweeper).sweep();
    expect(await left()).toEqual(['young']);
    const longer = await service.another({ EVENT_RETENTION_DAYS: '7' });
    await longer.get(EventsSweeper).sweep();
    await longer.close();
    expect(await left()).toEqual([]);
  });

  it('keeps nothing for an endpoint that is switched off, nor what was given up', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 500 });
    for (const userId of ['dead', 'waiting']) await writeEvent(service, userId);
    await deliver(service);
    await service.owner.query(`UPDATE webhook_deliveries SET status = 'dead' WHERE account_id = 'dead'`);
    for (const userId of ['dead', 'waiting']) await age(userId, '31 days');
    await service.get(EventsSweeper).sweep();
    expect(await left()).toEqual(['waiting']);
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: false }, {});
    await service.get(EventsSweeper).sweep();
    expect(await left()).toEqual([]);
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: true }, {});
    await deliver(service);
    expect((await service.owner.query('SELECT FROM webhook_lanes')).rowCount).toBe(0);
  });

  it('waits for no other: what another holds is left for the next pass', async () => {
    for (const userId of ['busy', 'free']) await writeEvent(service, userId);
    await deliver(service);
    for (const userId of ['busy', 'free']) await age(userId, '31 days');
    const busy = await service.owner.connect();
    await busy.query(`BEGIN; SELECT FROM events WHERE account_id = 'busy' FOR KEY SHARE`);
    const swept = service.get(EventsSweeper).sweep();
    try {
      await expect.poll(left).toEqual(['busy']);
    } finally {
      await busy.query('COMMIT');
      busy.release();
      await swept;
    }
  });

  it('forgets what is old and delivered, and keeps what an active endpoint waits for', async () => {
    await makeEndpoint(service, receiver);
    receiver.reply = ({ event }) => ({ status: event.userId === 'kept-user' ? 500 : 200 });
    const users = ['kept-user', 'old-user'].map((userId) => service.as(userId));
    for (const { userId } of users) await writeEvent(service, userId);
    await deliver(service);
    await service.owner.query(`UPDATE events SET published_at = now() - interval '31 days'`);
    await service.get(EventsSweeper).sweep();
    expect((await eventsOf(service, users[0] as HttpClient)).length).toBe(1);
    expect(await eventsOf(service, users[1] as HttpClient)).toEqual([]);
  });
});

describe('a target', () => {
  let strict: TestService;
  beforeAll(async () => {
    strict = await service.another({ WEBHOOK_ALLOW_HTTP: 'on', WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'off' });
  });
  afterAll(() => strict.close());

  it.each([
    'http://127.0.0.1/x',
    'http://127.1/x',
    'http://2130706433/x',
    'http://0x7f.0.0.1/x',
    'http://0.0.0.0/x',
    'http://10.1.2.3/x',
    'http://172.16.0.1/x',
    'http://192.168.1.1/x',
    'http://169.254.169.254/latest/meta-data',
    'http://100.64.0.1/x',
    'http://224.0.0.1/x',
    'http://255.255.255.255/x',
    'http://192.0.2.1/x',
    'http://[::1]/x',
    'http://[::127.0.0.1]/x',
    'http://[::a9fe:a9fe]/x',
    'http://0177.0.0.1/x',
    'http://127.0.0.1./x',
    'http://[::]/x',
    'http://[::ffff:127.0.0.1]/x',
    'http://[::ffff:a9fe:a9fe]/x',
    'http://[fe80::1]/x',
    'http://[fd00::1]/x',
    'http://[64:ff9b::7f00:1]/x',
    'http://[2002:7f00:1::]/x',
    'http://[ff02::1]/x',
    'http://user:secret@hooks.example.com/',
    'http://hooks.example.com:22/',
    'http://hooks.example.com:5432/',
    'http://hooks.example.com:6379/',
    'http://hooks.example.com/#x',
    'ftp://hooks.example.com/',
    'file:///etc/passwd',
    'hooks.example.com',
  ])('is refused at its creation and change: %s', async (url) => {
    const admin = strict.as('root', { role: 'admin' });
    const made = await admin.post('/api/webhooks', { url });
    expectProblem(made, 422, { code: 'webhook.target_refused', field: 'url' });
    const { id } = await makeEndpoint(service, receiver);
    const changed = await admin.send<object>('PATCH', `/api/webhooks/${id}`, { url }, {});
    expectProblem(changed, 422, { code: 'webhook.target_refused' });
  });

  it('is refused over http where that is not allowed', async () => {
    const secure = await service.another({ WEBHOOK_ALLOW_HTTP: 'off' });
    const made = await secure.as('root', { role: 'admin' }).post('/api/webhooks', { url: receiver.url });
    expectProblem(made, 422, { code: 'webhook.target_refused' });
    await secure.close();
  });

  it('that was made when private addresses were allowed gets nothing when they are not any more', async () => {
    const { id } = await makeEndpoint(service, receiver);
    const tested = await strict.as('root', { role: 'admin' }).post(`/api/webhooks/${id}/test`);
    expect(tested.body).toMatchObject({
      isDelivered: false,
      error: expect.stringContaining('private address') as string,
    });
    expect(receiver.received).toEqual([]);
  });

  it('is looked at when it is connected to: a name that turns to a private address gets nothing', async () => {
    const admin = strict.as('root', { role: 'admin' });
    const sender = strict.get(WebhookSender);
    const original = sender.resolve;
    const { id } = await makeEndpoint(strict, { url: `http://rebound.test:${receiver.port}/hook` });
    const asked: string[] = [];
    const answerWith = (addresses: LookupAddress[]) => {
      sender.resolve = (name: string, _: LookupOptions, answer: (e: null, a: LookupAddress[]) => void) => {
        asked.push(name);
        answer(null, addresses);
      };
    };
    const privately = { isDelivered: false, error: 'the name resolves to a private address' };
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254', '10.0.0.1']) {
      answerWith([{ address, family: address.includes(':') ? 6 : 4 }]);
      expect((await admin.post(`/api/webhooks/${id}/test`)).body).toMatchObject(privately);
    }
    // One among public ones is enough: which is taken is up to the connection.
    answerWith([
      { address: '93.184.216.34', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]);
    expect((await admin.post(`/api/webhooks/${id}/test`)).body).toMatchObject(privately);
    expect(asked).toEqual(Array.from({ length: 6 }, () => 'rebound.test'));
    expect(receiver.received).toEqual([]);
    sender.resolve = original;
  });

  it('whose name server is silent is looked up once for all that is sent to it, so that one thread waits', async () => {
    const sender = service.get(WebhookSender);
    const original = sender.resolve;
    let asked = 0;
    sender.resolve = () => asked++;
    const { id } = await makeEndpoint(service, { url: 'http://silent.test/hook' });
    const tests = await Promise.all([1, 2, 3].map(() => root.post(`/api/webhooks/${id}/test`)));
    for (const { body } of tests) expect(body).toMatchObject({ error: 'no answer in time' });
    expect(asked).toBe(1);
    sender.resolve = original;
  });
});
