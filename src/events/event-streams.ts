import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { Response } from 'express';
import { Gauge } from 'prom-client';
import { AccountsService } from '../accounts/accounts.service.js';
import { TokenExpired } from '../auth/auth.errors.js';
import { type Caller, hasRole, type Role } from '../common/http/caller.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { PeriodicTask } from '../common/periodic-task.js';
import { TaskOnRequest } from '../common/task-on-request.js';
import { Turns } from '../common/turns.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { EventSignals } from './event-signals.js';
import { EventStream, MAXIMUM_TIMER } from './event-stream.js';
import type { AccountingEvent, EventFilter } from './event-types.js';
import { NoStreamLeft, PositionUnknown, STREAMS_PER_CALLER, TooManyOwnStreams } from './events.errors.js';
import { EventsService } from './events.service.js';

const BATCH = 500;
/** The most that a catch-up rests between two reads; it rests as long as the last one took. */
const MAXIMUM_REST_MILLISECONDS = 250;
/**
 * Streams that read the past: one of each caller, so that no caller keeps the others waiting, and so few in all that reports
 * find a connection. A stream waits for as long as it is open.
 */
const READINGS = {
  perKey: 1,
  inAll: 2,
  patienceMilliseconds: MAXIMUM_TIMER,
  waitingPerKey: STREAMS_PER_CALLER,
  waitingInAll: Infinity,
} as const;
/** What a lost notification costs, and how long a role that was lost is still good. */
const LOOK_SECONDS = 1;

/** The open streams of this process. However many there are, new events are read once for all of them. */
@Injectable()
export class EventStreams implements OnModuleDestroy {
  private readonly logger = new Logger(EventStreams.name);
  private readonly streams = new Set<EventStream>();
  private readonly byCaller = new Map<string, number>();
  /** Streams of more than the caller's own events, and who may have them only while their role is what it was. */
  private readonly privileged = new Map<EventStream, { userId: string; role: Role }>();
  private readonly look: PeriodicTask;
  /** Up to here every event has been given to the streams that are up to date. */
  private position: number | undefined;
  /** The last events up to there, all that are above `recentAfter`: who has caught up to that gets the rest from here. */
  private recent: AccountingEvent[] = [];
  private recentAfter = 0;
  /** Whether more is to be read at once than one read gives. */
  private isBehind = false;
  private readonly reading = new TaskOnRequest(this.logger, 'Reading new events', () => this.readNew());
  private readonly turns = new Turns(READINGS);
  private stopListening: (() => void) | undefined;
  private isStopped = false;

  constructor(
    private readonly events: EventsService,
    private readonly signals: EventSignals,
    private readonly accounts: AccountsService,
    metrics: Metrics,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.look = new PeriodicTask(this.logger, 'Event streams', LOOK_SECONDS, () =>
      Promise.all([this.reading.request(), this.closeWhereRoleIsLost()]),
    );
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
   * @throws TooManyOwnStreams, NoStreamLeft, PositionUnknown, and TokenExpired for a token that only the clock's tolerance keeps
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
    // The client has gone while its caller was being found: nothing would end the stream.
    if (response.destroyed) return;
    const own = this.byCaller.get(caller.userId) ?? 0;
    if (own >= STREAMS_PER_CALLER) throw new TooManyOwnStreams();
    if (this.isStopped || this.streams.size >= this.config.events.maximumStreams) throw new NoStreamLeft();
    const stream = new EventStream(response, filter);
    this.add(stream, caller.userId);
    try {
      await this.prepare(stream, caller, after);
      // Only now is it known that the answer is a stream.
      const lifetime = Math.min(this.config.events.streamSeconds * 1000, endsAt - Date.now());
      if (lifetime <= 0) throw new TokenExpired();
      stream.begin(lifetime);
      await this.catchUp(stream, caller);
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    this.closeAll();
    this.stopListening?.();
    await this.look.stop();
    await this.reading.stop();
  }

  /** Clients reconnect with the last event that they have, and get an error when it is unknown. */
  private closeAll(): void {
    for (const stream of this.streams) stream.close();
  }

  /** Finds out where the stream begins; also shows that the database is there, while the answer can still be another. */
  private async prepare(
    stream: EventStream,
    { userId, role }: Caller,
    after: number | undefined,
  ): Promise<void> {
    const { newest, given } = await this.events.newest();
    if (after !== undefined && after > given) throw new PositionUnknown();
    if (stream.filter.accountId !== userId) {
      this.privileged.set(stream, { userId, role });
      stream.onClose(() => this.privileged.delete(stream));
    }
    if (this.isStopped) throw new NoStreamLeft();
    stream.cursor = after ?? newest;
    // The client may have disconnected, and no other stream may be open.
    if (this.position !== undefined || stream.isClosed) return;
    this.position = newest;
    this.isBehind = false;
    this.recent = [];
    this.recentAfter = newest;
  }

  private add(stream: EventStream, userId: string): void {
    this.streams.add(stream);
    this.byCaller.set(userId, (this.byCaller.get(userId) ?? 0) + 1);
    stream.onClose(() => {
      this.streams.delete(stream);
      const left = (this.byCaller.get(userId) ?? 1) - 1;
      if (left === 0) this.byCaller.delete(userId);
      else this.byCaller.set(userId, left);
      // Without a stream nothing is read; the next stream begins from then.
      if (this.streams.size === 0) this.position = undefined;
    });
    if (this.stopListening !== undefined) return;
    this.stopListening = this.signals.on('published', () => void this.reading.request());
    this.look.start();
  }

  /**
   * What the stream has missed, as fast as its client reads and at most every other moment; from then on it gets what all
   * get. Events that were given to all while it read are given to it in the same turn in which it becomes one of them.
   */
  private async catchUp(stream: EventStream, caller: Caller): Promise<void> {
    for (let isEnd = false; !stream.isClosed;) {
      const isKnown = isEnd || (!this.isBehind && stream.cursor <= (this.position ?? 0));
      if (isKnown && stream.cursor >= this.recentAfter) return stream.goLive(this.recent);
      const end = await this.turns.take(caller.userId, stream.closed).catch(() => undefined);
      // The client has gone while the stream waited.
      if (end === undefined) return stream.close();
      const startedAt = performance.now();
      const read = await this.events.past(stream.cursor, stream.filter, BATCH).finally(end);
      const milliseconds = performance.now() - startedAt;
      if (!read.isKnown) return this.closeAll();
      for (const event of read.events) stream.send(event);
      stream.cursor = read.position;
      isEnd = read.isEnd;
      await stream.drained();
      if (!isEnd) await stream.rest(Math.min(milliseconds, MAXIMUM_REST_MILLISECONDS));
    }
  }

  /**
   * Another token of the caller may have been seen with another role than the one with which the stream began, and a member
   * of an organisation may no longer oversee it.
   */
  private async closeWhereRoleIsLost(): Promise<void> {
    if (this.privileged.size === 0) return;
    const users = new Set([...this.privileged.values()].map(({ userId }) => userId));
    const roles = await this.accounts.rolesOf([...users]);
    for (const [stream, begun] of this.privileged) {
      const { accountId } = stream.filter;
      if (!hasRole(begun.role, 'supervisor') && accountId !== undefined) {
        const member = await this.accounts.memberRole(accountId, begun.userId);
        if (member === undefined || member === 'member') stream.close();
        continue;
      }
      const role = roles.get(begun.userId);
      if (role === undefined || role === begun.role) continue;
      if (hasRole(role, 'supervisor')) begun.role = role;
      else stream.close();
    }
  }

  private async readNew(): Promise<void> {
    if (this.position === undefined) return;
    const from = this.position;
    const read = await this.events.next(from, BATCH);
    // Streams have come and gone meanwhile: then others begin elsewhere.
    if (this.position !== from) return;
    if (!read.isKnown) {
      this.logger.warn(`Event ${from} is not known to the database any more: all streams end`);
      return this.closeAll();
    }
    for (const stream of this.streams) stream.sendLive(read.events);
    this.position = read.position;
    this.remember(read.events);
    this.isBehind = !read.isEnd;
    if (this.isBehind) void this.reading.request();
  }

  private remember(events: AccountingEvent[]): void {
    this.recent.push(...events);
    const forgotten = this.recent.splice(0, Math.max(this.recent.length - BATCH, 0));
    this.recentAfter = forgotten.at(-1)?.id ?? this.recentAfter;
  }
}
