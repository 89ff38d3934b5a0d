import { once } from 'node:events';
import type { Response } from 'express';
import { type AccountingEvent, type EventFilter, isWanted } from './event-types.js';

const HEARTBEAT_MILLISECONDS = 15_000;
/** How soon a client comes again, in milliseconds. */
const RETRY_MILLISECONDS = 3000;
/** What may wait for a client that does not read; beyond it, it is cut off and comes again for the rest. */
const MAXIMUM_WAITING_BYTES = 262_144;

/** One client that reads server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export class EventStream {
  /** The client has, or was never to get, everything up to here. */
  cursor = 0;
  isClosed = false;
  private isLive = false;
  private readonly closing: (() => void)[] = [];
  private readonly heartbeat: NodeJS.Timeout;
  private readonly end: NodeJS.Timeout;

  constructor(
    private readonly response: Response,
    readonly filter: EventFilter,
    lifetimeMilliseconds: number,
  ) {
    this.heartbeat = setInterval(() => this.write(':\n\n'), HEARTBEAT_MILLISECONDS);
    this.end = setTimeout(() => this.close(), Math.min(lifetimeMilliseconds, 2_147_483_647));
    response.once('close', () => this.close());
  }

  /** What was sent and the client has not taken. */
  get waitingBytes(): number {
    return this.response.writableLength;
  }

  onClose(action: () => void): void {
    this.closing.push(action);
  }

  begin(): void {
    if (this.isClosed) return;
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

  /** The same for a stream that is up to date; for others it comes from the database. */
  sendLive(event: AccountingEvent): void {
    if (!this.isLive || event.id <= this.cursor) return;
    this.send(event);
    this.cutOffIfSlow();
  }

  goLive(): void {
    this.isLive = true;
  }

  /** Resolves when the client has taken what was sent, or is gone. */
  async drained(): Promise<void> {
    if (!this.response.writableNeedDrain || this.isClosed) return;
    const done = new AbortController();
    this.closing.push(() => done.abort());
    await once(this.response, 'drain', { signal: done.signal }).catch(() => undefined);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    clearInterval(this.heartbeat);
    clearTimeout(this.end);
    if (this.response.headersSent) this.response.end();
    for (const action of this.closing) action();
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
