import { lookup } from 'node:dns';
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { Inject, Injectable } from '@nestjs/common';
import { Webhook } from 'standardwebhooks';
import { responseTo, TooLate, withDeadline } from '../common/http/bounded-fetch.js';
import { oneAtATime } from '../common/http/name-lookup.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig, WebhooksConfig } from '../config/env.js';
import { VERSION } from '../config/version.js';
import { PrivateAddress, publicLookup, targetProblem } from './webhook-target.js';

const MAXIMUM_ANSWER_BYTES = 65_536;
/** The most that a receiver's Retry-After is heeded. */
const MAXIMUM_WAIT_SECONDS = 3600;

export interface Message {
  /** The same each time that the same message is sent: receivers recognise repeats by it. */
  readonly id: string;
  readonly body: string;
}

/** What came of one request. */
export interface Attempt {
  readonly isDelivered: boolean;
  /** The receiver's status; null: there was none. */
  readonly status: number | null;
  /** Why it failed, for admins; never a word of the receiver's. */
  readonly error: string | null;
  /** How long the receiver asks to be left alone. */
  readonly retryAfterSeconds: number;
  readonly milliseconds: number;
}

/** Sends messages by the Standard Webhooks specification: signed, within limits, and only to where it is allowed. */
@Injectable()
export class WebhookSender {
  private readonly rules: WebhooksConfig;
  /** Replaced by tests that play a name server. */
  resolve: LookupFunction = lookup;
  private readonly lookup: LookupFunction;

  constructor(@Inject(APP_CONFIG) config: AppConfig) {
    this.rules = config.webhooks;
    const lookups = oneAtATime((...asked) => this.resolve(...asked));
    this.lookup = this.rules.allowsPrivateAddresses ? lookups : publicLookup(lookups);
  }

  /**
   * One attempt. It never throws.
   *
   * @param secrets of the endpoint; while a rotated one is valid the message bears both signatures, and without any none
   */
  async send(url: string, secrets: readonly string[], message: Message): Promise<Attempt> {
    const startedAt = performance.now();
    const done = (part: Partial<Attempt>): Attempt => ({
      isDelivered: false,
      status: null,
      error: null,
      retryAfterSeconds: 0,
      ...part,
      milliseconds: Math.round(performance.now() - startedAt),
    });
    // The settings may be stricter than when the endpoint was made.
    const problem = targetProblem(url, this.rules);
    if (problem !== undefined) return done({ error: `the URL ${problem}` });
    try {
      const { status, headers } = await this.post(new URL(url), message, headersOf(message, secrets));
      const isDelivered = status >= 200 && status < 300;
      const error = isDelivered ? null : `answered ${status}`;
      return done({ isDelivered, status, error, retryAfterSeconds: retryAfterSeconds(headers) });
    } catch (error) {
      return done({ error: reasonOf(error as NodeJS.ErrnoException) });
    }
  }

  /** Redirections are answers like others: they are not followed. */
  private post(
    url: URL,
    { body }: Message,
    headers: Record<string, string>,
  ): Promise<{ status: number; headers: IncomingHttpHeaders }> {
    const options: RequestOptions = {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      // Each on a connection of its own: an address that was looked at is not used later under another name.
      agent: false,
      lookup: this.lookup,
    };
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    return withDeadline(this.rules.timeoutMilliseconds, async (opened) => {
      const request = send(url, options);
      opened.push(request);
      request.end(body);
      const response = await responseTo(request);
      await readLittle(response);
      return { status: response.statusCode ?? 0, headers: response.headers };
    });
  }
}

function headersOf({ id, body }: Message, secrets: readonly string[]): Record<string, string> {
  const now = new Date();
  const plain = { 'content-type': 'application/json', 'user-agent': `llm-accounting-service/${VERSION}` };
  if (secrets.length === 0) return plain;
  return {
    ...plain,
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, now, body)).join(' '),
  };
}

/** A receiver's answer is not kept; beyond a little of it is not even waited for. */
function readLittle(response: IncomingMessage): Promise<void> {
  return new Promise((done, failed) => {
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAXIMUM_ANSWER_BYTES) response.destroy();
    });
    response.once('error', failed);
    response.once('close', done);
  });
}

/**
 * The pause that an answer asks for, in whole seconds from 0 to an hour. A date is compared with the answer's own `Date`
 * where there is one, so that the receiver's clock may be wrong. What is neither seconds nor a date asks for nothing.
 */
export function retryAfterSeconds({ 'retry-after': asked = '', date = '' }: IncomingHttpHeaders): number {
  const now = Date.parse(date) || Date.now();
  const seconds = Number.isNaN(Number(asked)) ? (Date.parse(asked) - now) / 1000 : Number(asked);
  return Math.min(Math.max(Math.ceil(seconds) || 0, 0), MAXIMUM_WAIT_SECONDS);
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error instanceof PrivateAddress) return 'the name resolves to a private address';
  if (error instanceof TooLate) return 'no answer in time';
  // A name of several addresses fails once for each.
  const code = error.code ?? (error as { errors?: NodeJS.ErrnoException[] }).errors?.[0]?.code;
  return code === undefined ? 'the connection failed' : `the connection failed (${code})`;
}
