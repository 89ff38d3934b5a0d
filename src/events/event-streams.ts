import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { Response } from 'express';
import { Gauge } from 'prom-client';
import type { Caller } from '../auth/caller.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { PeriodicTask } from '../common/periodic-task.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { EventSignals } from './event-signals.js';
import { EventStream } from './event-stream.js';
import type { EventFilter } from './event-types.js';
import { NoStreamLeft, TooManyOwnStreams } from './events.errors.js';
import { EventsService } from './events.service.js';

const STREAMS_PER_CALLER = 10;
const BATCH = 500;
const EVERYTHING: EventFilter = { userId: undefined, types: undefined };
/** What a lost notification costs. */
const LOOK_SECONDS = 2;

/** The open streams of this process. However many there are, new events are read once, and given to those who may see them. */
@Injectable()
export class EventStreams implements OnModuleDestroy {
  private readonly logger = new Logger(EventStreams.name);
  private readonly streams = new Set<EventStream>();
  private readonly byCaller = new Map<string, number>();
  private readonly look: PeriodicTask;
  /** Up to here every event has been given to the streams that are up to date. */
  private position: number | undefined;
  private reading: Promise<void> | undefined;
  private isAskedAgain = false;
  private stopListening: (() => void) | undefined;
  private isStopped = false;

  constructor(
    private readonly events: EventsService,
    private readonly signals: EventSignals,
    metrics: Metrics,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.look = new PeriodicTask(this.logger, 'Event streams', LOOK_SECONDS, () => this.readNew());
    const { streams } = this;
    new Gauge({
      name: 'accounting_event_streams',
      help: 'Open streams of this process',
      registers: [metrics.registry],
      collect() {
        this.set(streams.size);
      },
    });
    new Gauge({
      name: 'accounting_event_stream_waiting_bytes',
      help: 'What waits in this process for clients of streams that do not read fast enough',
      registers: [metrics.registry],
      collect() {
        let bytes = 0;
        for (const stream of streams) bytes += stream.waitingBytes;
        this.set(bytes);
      },
    });
  }

  /**
   * Answers with events as they come, until the token ends or the client goes.
   *
   * @param after the last event that the client has; undefined: from now on
   * @param endsAt of the caller's token, in milliseconds since 1970
   * @throws TooManyOwnStreams, NoStreamLeft
   */
  async open(
    response: Response,
    caller: Caller,
    filter: EventFilter,
    after: number | undefined,
    endsAt: number,
  ): Promise<void> {
    // Only the headers are asked for.
    if (response.req.method === 'HEAD') return void response.type('text/event-stream').end();
    const own = this.byCaller.get(caller.userId) ?? 0;
    if (own >= STREAMS_PER_CALLER) throw new TooManyOwnStreams(STREAMS_PER_CALLER);
    if (this.isStopped || this.streams.size >= this.config.events.maximumStreams) throw new NoStreamLeft();
    const lifetime = Math.min(this.config.events.streamSeconds * 1000, Math.max(endsAt - Date.now(), 0));
    const stream = new EventStream(response, filter, lifetime);
    this.add(stream, caller.userId);
    try {
      // Also shows that the database is there, while the answer can still be another.
      const lastId = await this.events.lastId();
      this.position ??= lastId;
      stream.cursor = after ?? lastId;
      stream.begin();
      await this.catchUp(stream);
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    for (const stream of this.streams) stream.close();
    this.stopListening?.();
    await this.look.stop();
    await this.reading;
  }

  private add(stream: EventStream, userId: string): void {
    this.streams.add(stream);
    this.byCaller.set(userId, (this.byCaller.get(userId) ?? 0) + 1);
    stream.onClose(() => {
      this.streams.delete(stream);
      const left = (this.byCaller.get(userId) ?? 1) - 1;
      if (left === 0) this.byCaller.delete(userId);
      else this.byCaller.set(userId, left);
      // With nobody to tell, nobody looks; whoever comes next begins from then.
      if (this.streams.size === 0) this.position = undefined;
    });
    if (this.stopListening !== undefined) return;
    this.stopListening = this.signals.on('published', () => this.readSoon());
    this.look.start();
  }

  /** What the stream has missed, as fast as its client reads; from then on it gets what all get. */
  private async catchUp(stream: EventStream): Promise<void> {
    while (!stream.isClosed) {
      const { position } = this;
      const events = await this.events.after(stream.cursor, stream.filter, BATCH);
      for (const event of events) stream.send(event);
      if (events.length === BATCH) await stream.drained();
      // What the others were given meanwhile may not have been there yet when this was read.
      else if (this.position === position) return stream.goLive();
    }
  }

  private readSoon(): void {
    this.isAskedAgain = true;
    this.reading ??= this.readWhileAsked().finally(() => (this.reading = undefined));
  }

  private async readNew(): Promise<void> {
    this.readSoon();
    await this.reading;
  }

  private async readWhileAsked(): Promise<void> {
    while (this.isAskedAgain && this.position !== undefined) {
      this.isAskedAgain = false;
      const from = this.position;
      const events = await this.events.after(from, EVERYTHING, BATCH).catch((error: Error) => {
        this.logger.warn(`New events will be read later: ${error.message}`);
        return [];
      });
      // Streams have come and gone meanwhile: then others begin elsewhere.
      if (this.position !== from) continue;
      for (const stream of this.streams) for (const event of events) stream.sendLive(event);
      this.position = events.at(-1)?.id ?? from;
      if (events.length === BATCH) this.isAskedAgain = true;
    }
    this.isAskedAgain = false;
  }
}
