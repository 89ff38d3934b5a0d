import { expect } from 'vitest';
import { EventPublisher } from '../../src/events/event-publisher.js';
import type { AccountingEvent } from '../../src/events/event-types.js';
import { WebhookDeliverer } from '../../src/events/webhook-deliverer.js';
import type { HttpClient } from './http-client.js';
import { startService, type TestService } from './service.js';
import { WebhookReceiver } from './webhook-receiver.js';

/** Publishes what the outbox holds, and answers a user's events, oldest first. */
export async function eventsOf(service: TestService, user: HttpClient): Promise<AccountingEvent[]> {
  await service.get(EventPublisher).publish();
  const answer = await user.get<{ items: AccountingEvent[] }>('/api/events?limit=200');
  expect(answer.status).toBe(200);
  return answer.body.items.reverse();
}

/** The same by type and data. */
export async function emittedFor(service: TestService, user: HttpClient) {
  return (await eventsOf(service, user)).map(({ type, data }) => [type, data] as const);
}

/** Publishes, and delivers what is due now. */
export async function deliver(service: TestService): Promise<void> {
  await service.get(EventPublisher).publish();
  await service.get(WebhookDeliverer).deliver();
}

export interface Endpoint {
  id: number;
  secret: string;
}

export async function makeEndpoint(
  service: TestService,
  { url }: Pick<WebhookReceiver, 'url'>,
  more: object = {},
): Promise<Endpoint> {
  const root = service.as('root', { role: 'admin' });
  const answer = await root.post('/api/webhooks', { url, ...more });
  expect(answer.status, answer.text).toBe(201);
  return answer.body as unknown as Endpoint;
}

/** Lets the pauses of all that waits be over, as time would. */
export async function endPauses(service: TestService): Promise<void> {
  await service.owner.query(`UPDATE webhook_lanes SET next_attempt_at = now() - interval '1 second'`);
}

/** Lets this much time pass for all that waits or is leased. */
export async function letTimePass(service: TestService, seconds: number): Promise<void> {
  await service.owner.query(
    `UPDATE webhook_lanes SET next_attempt_at = next_attempt_at - make_interval(secs => $1)`,
    [seconds],
  );
}

/** Writes an event of a user without a movement. */
export async function writeEvent(service: TestService, userId: string, data: object = {}): Promise<void> {
  const full = { credits: 0, availableCredits: 0, heldCredits: 0, ...data };
  await service.owner.query(`SELECT write_event($1, 'credits.exhausted', $2)`, [userId, full]);
}

export const TARGETS_ON_THIS_MACHINE = { WEBHOOK_ALLOW_HTTP: 'on', WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on' };

/** Two instances on one database, and a receiver that their webhooks may reach. */
export async function startWithReceiver(env: Record<string, string>) {
  const service = await startService({ ...TARGETS_ON_THIS_MACHINE, ...env });
  const second = await service.another();
  const receiver = await new WebhookReceiver().start();
  const close = async () => {
    await second.close();
    await service.close();
    await receiver.stop();
  };
  return { service, second, receiver, root: service.as('root', { role: 'admin' }), close };
}
