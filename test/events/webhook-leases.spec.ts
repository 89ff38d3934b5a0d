// @module-tag cluster
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EventPublisher } from '../../src/events/event-publisher.js';
import { WebhookDeliverer } from '../../src/events/webhook-deliverer.js';
import { startDatabaseProxy } from '../support/database-proxy.js';
import {
  deliver,
  type Endpoint,
  makeEndpoint,
  letTimePass,
  startWithReceiver,
  writeEvent,
} from '../support/events.js';
import { waitingForLocks } from '../support/hold-up.js';
import type { HttpClient } from '../support/http-client.js';
import type { TestService } from '../support/service.js';
import { isSignedWith, type Reply, WebhookReceiver } from '../support/webhook-receiver.js';

const TIMEOUT_SECONDS = 20;
/** Half a minute longer than a delivery may take. */
const LEASE_SECONDS = TIMEOUT_SECONDS + 30;

let service: TestService;
let second: TestService;
let receiver: WebhookReceiver;
let root: HttpClient;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ service, second, receiver, root, close } = await startWithReceiver({
    WEBHOOK_TIMEOUT_MS: String(TIMEOUT_SECONDS * 1000),
  }));
});
afterAll(() => close());
beforeEach(async () => {
  await service.owner.query('DELETE FROM webhook_endpoints');
  receiver.received.length = 0;
});

type Answer = (reply: Reply) => void;

/** Lets every message wait for its answer, in the order in which they came. */
function holdAnswers(): Answer[] {
  const answers: Answer[] = [];
  receiver.reply = () => new Promise<Reply>((answer) => answers.push(answer));
  return answers;
}

/** Begins to deliver what is due, and answers when the receiver has this many messages. */
async function begin(on: TestService, messages: number): Promise<void> {
  await on.get(EventPublisher).publish();
  on.get(WebhookDeliverer).wake();
  await expect.poll(() => receiver.received.length, { timeout: 5000, interval: 5 }).toBe(messages);
}

interface Delivery {
  status: string;
  attempts: number;
  lastStatus: number | null;
  nextAttemptAt: string | null;
}

async function deliveriesOf({ id }: Endpoint): Promise<Delivery[]> {
  return (await root.get<{ items: Delivery[] }>(`/api/webhooks/${id}/deliveries`)).body.items.reverse();
}
const numbers = () => receiver.received.map(({ event }) => event.data.credits);
const settled = () => service.get(WebhookDeliverer).deliver();

describe('the lease of a delivery', () => {
  it('of an instance that dies keeps others away exactly until it ends, and then one of them delivers', async () => {
    await makeEndpoint(service, receiver);
    const proxy = await startDatabaseProxy(service.databaseUrl);
    const dying = await service.another({ DATABASE_URL: proxy.url, DB_CONNECT_TIMEOUT_MS: '5000' });
    const answers = holdAnswers();
    for (const credits of [1, 2]) await writeEvent(service, 'orphan', { credits });
    await begin(dying, 1);
    // From now on no instance can write down what comes of it, as when its process is killed.
    proxy.cut();
    answers[0]?.({ status: 200 });
    await dying.get(WebhookDeliverer).deliver();
    receiver.reply = () => ({ status: 200 });
    await letTimePass(service, LEASE_SECONDS - 4);
    await Promise.all([deliver(service), deliver(second)]);
    expect(numbers()).toEqual([1]);
    await letTimePass(service, 4);
    await Promise.all([deliver(service), deliver(second)]);
    await deliver(service);
    expect(numbers()).toEqual([1, 1, 2]);
    const [first, again] = receiver.received;
    expect(again?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(again?.text).toBe(first?.text);
    await dying.close();
    await proxy.close();
  });

  it('lasts longer than a delivery may take: while one is under way no other instance has it', async () => {
    await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    await writeEvent(service, 'slow', { credits: 1 });
    await begin(service, 1);
    await letTimePass(service, TIMEOUT_SECONDS + 5);
    await deliver(second);
    expect(numbers()).toEqual([1]);
    answers[0]?.({ status: 200 });
    await settled();
    await deliver(second);
    expect(numbers()).toEqual([1]);
  });

  it('that is lost takes the word away: what comes late changes nothing of what another has done', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    for (const credits of [1, 2]) await writeEvent(service, 'lost', { credits });
    await begin(service, 1);
    await letTimePass(service, LEASE_SECONDS);
    await begin(second, 2);
    answers[1]?.({ status: 200 });
    await begin(second, 3);
    expect(numbers()).toEqual([1, 1, 2]);
    answers[0]?.({ status: 500 });
    await settled();
    expect(await deliveriesOf(endpoint)).toEqual([
      expect.objectContaining({ status: 'delivered', attempts: 1, lastStatus: 200 }),
      expect.objectContaining({ status: 'pending', attempts: 0 }),
    ]);
    // Nor does it let go of what the other has in hand.
    await deliver(service);
    expect(receiver.received).toHaveLength(3);
    answers[2]?.({ status: 200 });
    await second.get(WebhookDeliverer).deliver();
    expect((await deliveriesOf(endpoint)).map(({ status }) => status)).toEqual(['delivered', 'delivered']);
  });

  it('is not waited for by others: a lane that is locked in the database keeps no other back', async () => {
    await makeEndpoint(service, receiver);
    receiver.reply = () => ({ status: 200 });
    for (const userId of ['held', 'free']) await writeEvent(service, userId);
    await service.get(EventPublisher).publish();
    const holder = await service.owner.connect();
    await holder.query(`BEGIN; SELECT FROM webhook_lanes WHERE account_id = 'held' FOR UPDATE`);
    const delivering = deliver(service);
    try {
      await expect.poll(() => receiver.received.map(({ event }) => event.userId)).toEqual(['free']);
    } finally {
      await holder.query('COMMIT');
      holder.release();
      await delivering;
    }
    await deliver(service);
    expect(receiver.of('held')).toHaveLength(1);
  });
});

describe('while a delivery is under way', () => {
  it('its user’s next event is published: it is delivered, also when both end at the same time', async () => {
    await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    await writeEvent(service, 'next', { credits: 1 });
    await begin(service, 1);
    await writeEvent(service, 'next', { credits: 2 });
    const publisher = await service.owner.connect();
    // Written, and not yet visible to the instance that settles the first and looks for more.
    await publisher.query('BEGIN; SELECT events_publish(100)');
    receiver.reply = () => ({ status: 200 });
    let isSettled = false;
    const settling = settled().then(() => (isSettled = true));
    try {
      answers[0]?.({ status: 200 });
      await expect.poll(async () => isSettled || (await waitingForLocks(service)) > 0).toBe(true);
    } finally {
      await publisher.query('COMMIT');
      publisher.release();
    }
    await settling;
    await deliver(service);
    expect(numbers()).toEqual([1, 2]);
  });

  it('its endpoint is paused: nothing more goes there, and what was in hand is delivered when it is on again', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    for (const credits of [1, 2]) await writeEvent(service, 'paused', { credits });
    await begin(service, 1);
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: false }, {});
    answers[0]?.({ status: 500 });
    await settled();
    await letTimePass(service, 3600);
    await Promise.all([deliver(service), deliver(second)]);
    expect(numbers()).toEqual([1]);
    expect((await deliveriesOf(endpoint)).map(({ nextAttemptAt }) => nextAttemptAt)).toEqual([null, null]);
    // A publisher that has not seen it yet may leave a lane that is due.
    await service.owner.query('UPDATE webhook_lanes SET next_attempt_at = now()');
    await deliver(service);
    expect(numbers()).toEqual([1]);
    receiver.reply = () => ({ status: 200 });
    await root.send('PATCH', `/api/webhooks/${endpoint.id}`, { isActive: true }, {});
    await deliver(second);
    expect(numbers()).toEqual([1, 1, 2]);
    expect((await deliveriesOf(endpoint)).map(({ status }) => status)).toEqual(['delivered', 'delivered']);
  });

  it('its endpoint is switched on, which it is already, or gets another URL: it is not sent a second time', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    await writeEvent(service, 'once');
    await begin(service, 1);
    for (const change of [{ isActive: true }, { isActive: false }, { isActive: true }, { url: receiver.url }])
      await root.send('PATCH', `/api/webhooks/${endpoint.id}`, change, {});
    await deliver(second);
    answers[0]?.({ status: 200 });
    await settled();
    await deliver(second);
    expect(receiver.received).toHaveLength(1);
    expect(await deliveriesOf(endpoint)).toMatchObject([{ status: 'delivered', attempts: 1 }]);
  });

  it('its endpoint is deleted: nothing is left of it, nothing fails, and others get theirs', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    for (const credits of [1, 2]) await writeEvent(service, 'deleted', { credits });
    await begin(service, 1);
    const logged = service.logs.length;
    expect((await root.delete(`/api/webhooks/${endpoint.id}`)).status).toBe(204);
    receiver.reply = () => ({ status: 200 });
    await makeEndpoint(service, receiver);
    await writeEvent(service, 'deleted', { credits: 3 });
    answers[0]?.({ status: 200 });
    await settled();
    await deliver(service);
    expect(numbers()).toEqual([1, 3]);
    const complaints = service.logs.slice(logged).filter(({ context }) => context === 'WebhookDeliverer');
    expect(complaints).toEqual([]);
  });

  it('its secret is rotated: what is sent later bears the new signature', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    for (const credits of [1, 2]) await writeEvent(service, 'rotated', { credits });
    await begin(service, 1);
    const { body } = await root.post<{ secret: string }>(`/api/webhooks/${endpoint.id}/rotate-secret`, {
      overlapSeconds: 0,
    });
    answers[0]?.({ status: 200 });
    await begin(service, 2);
    answers[1]?.({ status: 200 });
    await settled();
    const signed = receiver.received.map((received) =>
      [endpoint.secret, body.secret].map((secret) => isSignedWith(secret, received)),
    );
    expect(signed).toEqual([
      [true, false],
      [false, true],
    ]);
  });

  it('it is replayed: what is under way is the replay, never two at once', async () => {
    const endpoint = await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    await writeEvent(service, 'twice', { credits: 1 });
    await begin(service, 1);
    const { rows } = await service.owner.query<{ id: string }>('SELECT id FROM webhook_deliveries');
    const replayed = await root.post(`/api/webhooks/${endpoint.id}/deliveries/${rows[0]?.id}/replay`);
    expect(replayed.status).toBe(200);
    await deliver(second);
    expect(receiver.received).toHaveLength(1);
    answers[0]?.({ status: 200 });
    await settled();
    await deliver(second);
    expect(receiver.received).toHaveLength(1);
    expect((await deliveriesOf(endpoint)).map(({ status }) => status)).toEqual(['delivered']);
  });
});

describe('deliveries at once', () => {
  it('go first to those that have waited longest, when there is not room for all', async () => {
    await makeEndpoint(service, receiver);
    const answers = holdAnswers();
    for (let n = 1; n <= 30; n++) await writeEvent(service, 'queue-' + n);
    await service.get(EventPublisher).publish();
    // Who came last has waited longest, as after pauses of different lengths.
    await service.owner.query(
      `UPDATE webhook_lanes SET next_attempt_at = now() - make_interval(mins => split_part(account_id, '-', 2)::integer)`,
    );
    await begin(service, 8);
    expect(receiver.received.map(({ event }) => event.userId).sort()).toEqual(
      Array.from({ length: 8 }, (_, n) => 'queue-' + (23 + n)),
    );
    receiver.reply = () => ({ status: 200 });
    for (const answer of answers) answer({ status: 200 });
    await settled();
  });

  it('are bounded for one endpoint, and leave room for others', async () => {
    const other = await new WebhookReceiver().start();
    const answers = holdAnswers();
    await makeEndpoint(service, receiver, { eventTypes: ['credits.exhausted'] });
    for (let n = 0; n < 30; n++) await writeEvent(service, `crowd-${n}`, { credits: n });
    await begin(service, 8);
    // Asked again and again, it takes no more.
    for (let n = 0; n < 5; n++) {
      service.get(WebhookDeliverer).wake();
      await service.get(EventPublisher).publish();
    }
    await makeEndpoint(service, other);
    await writeEvent(service, 'elsewhere');
    await service.get(EventPublisher).publish();
    service.get(WebhookDeliverer).wake();
    await expect.poll(() => other.of('elsewhere').length).toBe(1);
    expect(receiver.received).toHaveLength(8);
    receiver.reply = () => ({ status: 200 });
    for (const answer of answers) answer({ status: 200 });
    await settled();
    expect(new Set(receiver.received.map(({ event }) => event.userId)).size).toBe(31);
    await other.stop();
  });

  it('are bounded for a process, however many endpoints there are', async () => {
    const answers = holdAnswers();
    for (let n = 0; n < 5; n++) await makeEndpoint(service, receiver);
    for (let n = 0; n < 8; n++) await writeEvent(service, `many-${n}`);
    // Each has two or three, and two are left for one that has none.
    await begin(service, 14);
    for (let n = 0; n < 5; n++) {
      service.get(WebhookDeliverer).wake();
      await service.get(EventPublisher).publish();
    }
    expect(receiver.received).toHaveLength(14);
    receiver.reply = () => ({ status: 200 });
    for (const answer of answers) answer({ status: 200 });
    await settled();
    expect(receiver.received).toHaveLength(40);
  });
});
