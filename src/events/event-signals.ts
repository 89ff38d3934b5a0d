import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { DatabaseClient, DatabasePool } from '../common/database/driver.js';

const CHANNEL = 'accounting_events';
/** `written`: the outbox has something. `published`: there is something to read, or to deliver. */
export type Signal = 'written' | 'published';
const SIGNALS: readonly string[] = ['written', 'published'] satisfies Signal[];
const RECONNECT_MILLISECONDS = 2000;
/** A server that takes the login and then is silent is left. */
const ANSWER_MILLISECONDS = 2000;

/**
 * Passes on in this process what the database notifies of, over one connection however many listen. It is for speed
 * only: each listener also looks by itself every few seconds, so that a lost notification costs no event.
 */
@Injectable()
export class EventSignals implements OnModuleDestroy {
  private readonly logger = new Logger(EventSignals.name);
  private readonly listeners = new Map<Signal, Set<() => void>>();
  private client: DatabaseClient | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isStarted = false;
  private isStopped = false;

  constructor(private readonly pool: DatabasePool) {}

  /** The connection is made with the first listener. Answers how to stop listening. */
  on(signal: Signal, listener: () => void): () => void {
    const listeners = this.listeners.get(signal) ?? new Set();
    this.listeners.set(signal, listeners.add(listener));
    if (!this.isStarted) {
      this.isStarted = true;
      void this.connect();
    }
    return () => listeners.delete(listener);
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    // A pooler passes no notifications on.
    const { servers, options } = this.pool.direct;
    const client = new DatabaseClient({
      servers,
      options,
      keepAlive: true,
      application_name: 'llm-accounting-service-events',
      connectionTimeoutMillis: RECONNECT_MILLISECONDS,
      answer_timeout: ANSWER_MILLISECONDS,
    });
    client.on('notification', ({ payload = '' }) => {
      if (SIGNALS.includes(payload)) this.signal(payload as Signal);
    });
    client.once('end', () => this.reconnect(client));
    this.client = client;
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      // What was notified while no connection listened.
      for (const signal of this.listeners.keys()) this.signal(signal);
    } catch (error) {
      this.logger.debug(`not listening: ${(error as Error).message}`);
      await client.end().catch(() => undefined);
      this.reconnect(client);
    }
  }

  private reconnect(ended: DatabaseClient): void {
    if (this.isStopped || this.client !== ended) return;
    this.client = undefined;
    this.timer = setTimeout(() => void this.connect(), RECONNECT_MILLISECONDS);
    this.timer.unref();
  }

  private signal(signal: Signal): void {
    for (const listener of this.listeners.get(signal) ?? []) listener();
  }
}
