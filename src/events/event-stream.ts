import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { Response } from 'express';
import { type AccountingEvent, type EventFilter, isWanted } from './event-types.js';

const HEARTBEAT_MILLISECONDS = 15_000;
/** How soon a client reconnects, in milliseconds. */
const RETRY_MILLISECONDS = 3000;
/** The longest that a timer can count. */
export const MAXIMUM_TIMER = 2_147_483_647;
/** How long a stream that has ended waits for its client to take the rest. */
const LINGER_MILLISECONDS = 5000;
/** What may wait for a client that does not read; beyond it, it is cut off and reconnects for the rest. */
const MAXIMUM_WAITING_BYTES = 262_144;

/** One client that reads server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export class EventStream {
  /** The client has, or was never to get, everything up to here. */
  cursor = 0;
  isClosed = false;
  private isLive = false;
  private readonly closing = new AbortController();
  private readonly heartbeat: NodeJS.Timeout;
  private end: NodeJS.Timeout | undefined;

  constructor(
    private readonly response: Response,
    readonly filter: EventFilter,
  ) {
    this.heartbeat = setInterval(() => this.write(':\n\n'), HEARTBEAT_MILLISECONDS);
    response.once('close', () => this.close());
  }

  /** What was sent and the client has not taken. */
  get waitingBytes(): number {
    return this.response.writableLength;
  }

  /** Aborts when the stream closes. */
  get closed(): AbortSignal {
    return this.closing.signal;
  }

  /** At the end of the stream, or at once when it has ended. */
  onClose(action: () => void): void {
    if (this.isClosed) action();
    else this.closing.signal.addEventListener('abort', action, { once: true });
  }

  /** Answers, and ends after the lifetime. */
  begin(lifetimeMilliseconds: number): void {
    if (this.isClosed) return;
    this.end = setTimeout(() => this.close(), Math.min(lifetimeMilliseconds, MAXIMUM_TIMER));
    this.response.status(200);
    this.response.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
    // Proxies of this kind gather answers otherwise.
    this.response.setHeader('X-Accel-Buffering', 'no');
    this.response.flushHeaders();
    this.response.write(`retry: ${RETRY_MILLISECONDS}\n\n`);
  }

  /** In the order of their ids. */
  send(event: AccountingEvent): void {
    this.cursor = event.id;
    if (!isWanted(event, this.filter) || this.isClosed) return;
    this.response.write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  /**
   * The same for streams that are up to date; for others these events come from the database. A client has the time until
   * the next ones to take them.
   */
  sendLive(events: readonly AccountingEvent[]): void {
    if (!this.isLive || events.length === 0) return;
    this.cutOffIfSlow();
    for (const event of events) if (event.id > this.cursor) this.send(event);
  }

  /** @param recent what was sent live last; the stream has, or is sent now, all of it */
  goLive(recent: readonly AccountingEvent[]): void {
    this.isLive = true;
    this.sendLive(recent);
  }

  /** Resolves when the client has taken what was sent, or is gone. */
  async drained(): Promise<void> {
    if (!this.response.writableNeedDrain || this.isClosed) return;
    await once(this.response, 'drain', { signal: this.closing.signal }).catch(() => undefined);
  }

  /** Resolves after the pause, or when the client is gone. */
  async rest(milliseconds: number): Promise<void> {
    await pause(milliseconds, undefined, { signal: this.closing.signal }).catch(() => undefined);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.heartbeat);
    clearTimeout(this.end);
    if (this.response.headersSent) {
      this.response.end();
      if (this.waitingBytes > 0) setTimeout(() => this.response.destroy(), LINGER_MILLISECONDS).unref();
    }
    this.closing.abort();
  }

  private write(text: string): void {
    if (this.isClosed || !this.response.headersSent) return;
    this.response.write(text);
    this.cutOffIfSlow();
  }

  private cutOffIfSlow(): void {
    if (this.waitingBytes <= MAXIMUM_WAITING_BYTES) return;
    this.response.destroy();
    this.close();
  }
}
