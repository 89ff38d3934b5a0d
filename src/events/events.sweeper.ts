import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import {
  type AccountRequest,
  Database,
  type Operation,
  operation,
  type Statement,
} from '../common/database/database.js';
import { isOutage } from '../common/errors/database-errors.js';
import { inLanes } from '../common/lanes.js';
import { PeriodicTask } from '../common/periodic-task.js';
import { TaskOnRequest } from '../common/task-on-request.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { EventPublisher } from './event-publisher.js';
import { EventSignals } from './event-signals.js';
import { WebhookDeliverer } from './webhook-deliverer.js';
import { WebhooksService } from './webhooks.service.js';

/** What one operation announces of an account, and the statement that finds what is due. */
interface Announcement {
  readonly announce: Operation<AccountRequest & { days: number }, { emitted: number }>;
  readonly due: Statement;
}

/** In the order of their expiry, each batch after the last one of the batch before, so that none is met twice. */
const announcement = (name: string, table: string, condition: string): Announcement => ({
  announce: operation(name),
  due: {
    name: `${name}_due`,
    text: `SELECT account_id, id, expires_at::text FROM ${table}
            WHERE ${condition} AND (expires_at, id) > ($3::timestamptz, $4) ORDER BY expires_at, id LIMIT $2`,
  },
});
const DAYS = 'make_interval(hours => 24 * $1::integer)';
const SOON = `expires_at > now() AND expires_at <= now() + ${DAYS}`;
export const LOTS = announcement(
  'events_announce_lots',
  'credit_allocations',
  `is_open AND NOT expiry_announced AND ${SOON}`,
);
const KEYS = announcement(
  'events_announce_keys',
  'api_keys',
  `is_active AND expiry_announced IS DISTINCT FROM expires_at AND ${SOON}
              AND coalesce(gateway_state, 'live') = 'live'`,
);
const ENDED_KEYS = announcement(
  'events_announce_ended_keys',
  'api_keys',
  `is_active AND (end_announced IS NULL OR end_announced < expires_at)
              AND expires_at <= now() AND expires_at > now() - ${DAYS}
              AND coalesce(gateway_state, 'live') NOT IN ('pending', 'opening', 'failed')`,
);
const FORGET = { name: 'events_forget', text: 'SELECT events_forget($1, $2) AS count' };
const BATCH = 500;
const BATCHES_PER_PASS = 20;
/** Accounts announced at once; on a cluster their servers work side by side. */
const LANES = 4;
/** What a lost notification costs, and on a cluster each: the account's server notifies, and nothing listens there. */
const LOOK_SECONDS = 1;

interface Due {
  account_id: string;
  id: string;
  expires_at: string;
}

/**
 * Announces what will expire, publishes the outbox, delivers, and forgets what is old. Every instance that sweeps runs
 * it; the database sees to it that each thing is done by one of them.
 */
@Injectable()
export class EventsSweeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(EventsSweeper.name);
  private readonly announcements: PeriodicTask;
  private readonly look: PeriodicTask;
  private readonly endpoints: PeriodicTask;
  private readonly stopListening: (() => void)[] = [];
  private readonly publishing: TaskOnRequest;

  constructor(
    private readonly database: Database,
    private readonly publisher: EventPublisher,
    private readonly deliverer: WebhookDeliverer,
    private readonly signals: EventSignals,
    webhooks: WebhooksService,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    const { sweepIntervalSeconds } = config;
    this.announcements = new PeriodicTask(this.logger, 'Events sweeper', sweepIntervalSeconds, (stopped) =>
      this.sweep(stopped),
    );
    this.publishing = new TaskOnRequest(this.logger, 'Event publisher', async (stopped) => {
      await this.publisher.publish(stopped);
      this.deliverer.wake();
    });
    const lookSeconds = Math.min(LOOK_SECONDS, sweepIntervalSeconds);
    this.look = new PeriodicTask(this.logger, 'Event publisher', lookSeconds, () =>
      this.publishing.request(),
    );
    this.endpoints = new PeriodicTask(this.logger, 'Webhooks sweeper', lookSeconds, (stopped) =>
      webhooks.sweep(stopped),
    );
  }

  onApplicationBootstrap(): void {
    if (this.config.sweepIntervalSeconds === 0) return;
    this.announcements.start();
    this.look.start();
    this.endpoints.start();
    this.stopListening.push(
      this.signals.on('written', () => void this.publishing.request()),
      this.signals.on('published', () => this.deliverer.wake()),
    );
  }

  async onModuleDestroy(): Promise<void> {
    for (const stop of this.stopListening) stop();
    await Promise.all([this.announcements.stop(), this.look.stop(), this.endpoints.stop()]);
    await this.publishing.stop();
  }

  /** One pass over what comes with time. */
  async sweep(stopped?: AbortSignal): Promise<void> {
    const { creditsExpiringDays, keysExpiringDays, retentionDays } = this.config.events;
    if (creditsExpiringDays > 0) await this.announce(LOTS, creditsExpiringDays, stopped);
    if (keysExpiringDays > 0) await this.announce(KEYS, keysExpiringDays, stopped);
    await this.announce(ENDED_KEYS, retentionDays, stopped);
    await this.forget(retentionDays, stopped);
  }

  private async announce(what: Announcement, days: number, stopped?: AbortSignal): Promise<void> {
    let last: Pick<Due, 'expires_at' | 'id'> = { expires_at: '-infinity', id: '0' };
    for (let batch = 0; batch < BATCHES_PER_PASS && !stopped?.aborted; batch++) {
      const due = await this.database.rows<Due>(what.due, [days, BATCH, last.expires_at, last.id]);
      const accounts = new Set(due.map(({ account_id }) => account_id));
      await inLanes(LANES, [...accounts], async (accountId) => {
        if (!stopped?.aborted) await this.announceTo(accountId, what, days);
      });
      if (due.length < BATCH) return;
      last = due.at(-1) as Due;
    }
  }

  /** One account that cannot be written to must not keep the others from their events. */
  private async announceTo(accountId: string, { announce }: Announcement, days: number): Promise<void> {
    try {
      await this.database.call(announce, { accountId, days });
    } catch (error) {
      if (isOutage(error)) throw error;
      this.logger.error(`${announce.name} fails for ${accountId}: ${(error as Error).message}`);
    }
  }

  private async forget(days: number, stopped?: AbortSignal): Promise<void> {
    for (let batch = 0; batch < BATCHES_PER_PASS && !stopped?.aborted; batch++) {
      const row = await this.database.row<{ count: number }>(FORGET, [days, BATCH]);
      if ((row?.count ?? 0) < BATCH) return;
    }
  }
}
