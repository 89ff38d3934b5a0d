import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Database, type Statement } from '../common/database/database.js';
import { PeriodicTask } from '../common/periodic-task.js';
import { TaskOnRequest } from '../common/task-on-request.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { EventPublisher } from './event-publisher.js';
import { EventSignals } from './event-signals.js';
import { WebhookDeliverer } from './webhook-deliverer.js';
import { WebhooksService } from './webhooks.service.js';

const ANNOUNCE_LOTS = { name: 'events_announce_lots', text: 'SELECT events_announce_lots($1, $2) AS count' };
const ANNOUNCE_KEYS = { name: 'events_announce_keys', text: 'SELECT events_announce_keys($1, $2) AS count' };
const ANNOUNCE_ENDED_KEYS = {
  name: 'events_announce_ended_keys',
  text: 'SELECT events_announce_ended_keys($1, $2) AS count',
};
const FORGET = { name: 'events_forget', text: 'SELECT events_forget($1, $2) AS count' };
const BATCH = 500;
const BATCHES_PER_PASS = 20;
/** What a lost notification costs. */
const LOOK_SECONDS = 2;

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
    if (creditsExpiringDays > 0) await this.inBatches(ANNOUNCE_LOTS, creditsExpiringDays, stopped);
    if (keysExpiringDays > 0) await this.inBatches(ANNOUNCE_KEYS, keysExpiringDays, stopped);
    await this.inBatches(ANNOUNCE_ENDED_KEYS, retentionDays, stopped);
    await this.inBatches(FORGET, retentionDays, stopped);
  }

  private async inBatches(statement: Statement, days: number, stopped?: AbortSignal): Promise<void> {
    for (let batch = 0; batch < BATCHES_PER_PASS && !stopped?.aborted; batch++) {
      const row = await this.database.row<{ count: number }>(statement, [days, BATCH]);
      if ((row?.count ?? 0) < BATCH) return;
    }
  }
}
