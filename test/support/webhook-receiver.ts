import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { AccountingEvent } from '../../src/events/event-types.js';

export interface Received {
  headers: IncomingHttpHeaders;
  text: string;
  event: AccountingEvent;
}

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: string;
  /** Says nothing at all. */
  isSilent?: boolean;
  /** Says the body and does not come to an end. */
  isEndless?: boolean;
}

/** A receiver of webhooks, over real HTTP, with the answers that a test sets. */
export class WebhookReceiver {
  readonly received: Received[] = [];
  /** What to answer to an event; the default is 204. */
  reply: (received: Received) => Reply | Promise<Reply> = () => ({ status: 204 });
  /** How many connections were made. */
  connections = 0;
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        const received = { headers: request.headers, text, event: JSON.parse(text) as AccountingEvent };
        this.received.push(received);
        void Promise.resolve(this.reply(received)).then(({ status, headers, body, isSilent, isEndless }) => {
          if (isSilent) return;
          response.writeHead(status, headers);
          if (isEndless) response.write(body);
          else response.end(body);
        });
      });
    });
    this.server.on('connection', () => this.connections++);
  }

  async start(): Promise<this> {
    await new Promise<void>((listening) => this.server.listen(0, '127.0.0.1', listening));
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** What was received of a user, in the order in which it came. */
  of(userId: string): Received[] {
    return this.received.filter(({ event }) => event.userId === userId);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }
}

/** Whether the library of the specification takes the message for one signed with this secret. */
export function isSignedWith(secret: string, { headers, text }: Received): boolean {
  try {
    new Webhook(secret).verify(text, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}
