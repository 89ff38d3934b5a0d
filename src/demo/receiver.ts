import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import type { EventType } from '../events/event-types.js';
import { request } from './requests.js';

interface Endpoint {
  readonly path: string;
  readonly description: string;
  readonly eventTypes: readonly EventType[];
  /** Answers 503, so that an endpoint in trouble is seen as well. */
  readonly isDown?: boolean;
}

const ENDPOINTS: readonly Endpoint[] = [
  {
    path: '/reminders',
    description: 'Top-up reminders',
    eventTypes: ['credits.low', 'credits.exhausted', 'credits.recovered', 'credits.expiring'],
  },
  {
    path: '/tickets',
    description: 'Ticket system, which is down',
    eventTypes: ['usage.needs_review', 'session.timed_out'],
    isDown: true,
  },
];

interface Made {
  readonly id: number;
  readonly secret: string;
}

export interface Receiver {
  stop(): Promise<void>;
}

/**
 * Another program of the platform, which receives events by webhook: it takes a message when its signature is
 * that of the endpoint's secret, as the specification asks.
 *
 * @param api of the service, without a slash at its end
 * @param headers an admin's, who makes the endpoints
 */
export async function startReceiver(api: string, headers: Record<string, string>): Promise<Receiver> {
  // A message may come before the answer that has the secret.
  const secrets = new Map<string, Promise<string | undefined>>();
  const server = createServer((message, response) => {
    void answer(message, secrets).then((status) => response.writeHead(status).end());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  for (const { path, description, eventTypes } of ENDPOINTS) {
    const url = `http://127.0.0.1:${port}${path}`;
    const made = request<Made>(`${api}/webhooks`, headers, { url, description, eventTypes });
    secrets.set(
      path,
      made.then((endpoint) => endpoint?.secret),
    );
    const id = (await made)?.id;
    if (id !== undefined) await request(`${api}/webhooks/${id}/test`, headers, {});
  }
  return {
    stop: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

async function answer(
  message: IncomingMessage,
  secrets: ReadonlyMap<string, Promise<string | undefined>>,
): Promise<number> {
  const endpoint = ENDPOINTS.find(({ path }) => path === message.url);
  if (endpoint === undefined) return 404;
  if (endpoint.isDown) return 503;
  try {
    const secret = (await secrets.get(endpoint.path)) ?? '';
    new Webhook(secret).verify(await text(message), message.headers as Record<string, string>);
    return 204;
  } catch {
    return 401;
  }
}
