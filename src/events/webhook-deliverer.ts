import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { Counter } from 'prom-client';
import { type AccountRequest, Database, generalOperation } from '../common/database/database.js';
import { ServiceUnavailable } from '../common/errors/service-error.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { TaskOnRequest } from '../common/task-on-request.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { type AccountingEvent, webhookId } from './event-types.js';
import { WebhookSecrets } from './webhook-secrets.js';
import { type Attempt, type Message, WebhookSender } from './webhook-sender.js';

const CLAIM = { name: 'webhook_claim', text: 'SELECT webhook_claim($1, $2, $3, $4) AS lane' };
const SETTLE = generalOperation<AccountRequest, Settled>('webhook_settle');

/** Deliveries of this process at once, and those to endpoints whose last attempt failed. */
const PARALLEL = 16;
const PARALLEL_FAILING = 8;
const MINUTE = 60;
const HOUR = 3600;
/** Seconds before each retry, 31 hours in all. */
const PAUSES = [
  5,
  30,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  6 * HOUR,
  8 * HOUR,
  9 * HOUR,
];
/** An endpoint that has failed for five days without a success is switched off. */
const PATIENCE_SECONDS = 5 * 24 * HOUR;
/** Beyond the time limit of a delivery: until then its process must have written down what came of it. */
const LEASE_MARGIN_SECONDS = 30;

interface Lane {
  endpointId: number;
  accountId: string;
  lease: string;
  url: string;
  /** As they are stored: the one in force, and during a rotation's overlap the one before. */
  secrets: string[];
  deliveryId: number | null;
  event: AccountingEvent | null;
}

interface Settled {
  outcome: 'delivered' | 'failed' | 'dead' | 'stale';
  disabled: boolean;
}

/** Delivers what is due, a few at once: of one user and endpoint never two, of the others as each has a share in the room. */
@Injectable()
export class WebhookDeliverer implements OnModuleDestroy {
  private readonly logger = new Logger(WebhookDeliverer.name);
  private readonly leaseSeconds: number;
  private readonly underWay = new Map<Promise<void>, number>();
  private readonly deliveries: Counter;
  private readonly claiming = new TaskOnRequest(this.logger, 'Webhook delivery', () => this.claim());

  constructor(
    private readonly database: Database,
    private readonly sender: WebhookSender,
    private readonly secrets: WebhookSecrets,
    metrics: Metrics,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.leaseSeconds = Math.ceil(config.webhooks.timeoutMilliseconds / 1000) + LEASE_MARGIN_SECONDS;
    this.deliveries = new Counter({
      name: 'accounting_webhook_attempts_total',
      help: 'Attempts of this process to deliver, by what came of them; a dead delivery is tried no more',
      labelNames: ['result'],
      registers: [metrics.registry],
    });
    for (const result of ['delivered', 'failed', 'dead']) this.deliveries.inc({ result }, 0);
  }

  /** Delivers what is due as soon as there is room. It never fails. */
  wake(): void {
    void this.claiming.request();
  }

  /** Until nothing is due and nothing is under way. */
  async deliver(): Promise<void> {
    for (;;) {
      await this.claiming.request();
      if (this.underWay.size === 0) return;
      await Promise.all(this.underWay.keys());
    }
  }

  /** Waits for what is under way: each has a time limit. */
  async onModuleDestroy(): Promise<void> {
    await this.claiming.stop();
    await Promise.all(this.underWay.keys());
  }

  private async claim(): Promise<void> {
    const free = PARALLEL - this.underWay.size;
    // A delivery that ends makes room and claims again.
    if (free === 0) return;
    const byEndpoint: Record<string, number> = {};
    for (const id of this.underWay.values()) byEndpoint[id] = (byEndpoint[id] ?? 0) + 1;
    const values = [free, PARALLEL_FAILING, this.leaseSeconds, JSON.stringify(byEndpoint)];
    const lanes = await this.database.rows<{ lane: Lane }>(CLAIM, values);
    for (const { lane } of lanes) {
      if (typeof lane?.endpointId !== 'number') throw new ServiceUnavailable();
      this.begin(lane);
    }
  }

  private begin(lane: Lane): void {
    const delivery = this.work(lane)
      .catch((error: Error) =>
        // Its lease ends, and then another process delivers it again.
        this.logger.warn(`A delivery to webhook ${lane.endpointId} is not settled: ${error.message}`),
      )
      .finally(() => {
        this.underWay.delete(delivery);
        this.wake();
      });
    this.underWay.set(delivery, lane.endpointId);
  }

  private async work(lane: Lane): Promise<void> {
    const { event } = lane;
    const attempt =
      event === null
        ? NOTHING
        : await this.sendTo(lane, {
            id: webhookId(event.id, event.occurredAt),
            body: JSON.stringify(event),
          });
    const { outcome, disabled } = await this.database.call(SETTLE, {
      endpointId: lane.endpointId,
      accountId: lane.accountId,
      lease: lane.lease,
      deliveryId: lane.deliveryId,
      isDelivered: attempt.isDelivered,
      status: attempt.status,
      error: attempt.error,
      pauses: PAUSES,
      atLeastSeconds: attempt.retryAfterSeconds,
      patienceSeconds: PATIENCE_SECONDS,
    });
    if (lane.deliveryId === null || outcome === 'stale') return;
    this.deliveries.inc({ result: outcome });
    const facts = { endpointId: lane.endpointId, deliveryId: lane.deliveryId, error: attempt.error };
    if (outcome === 'dead') this.logger.warn({ msg: 'a webhook delivery is given up', ...facts });
    if (disabled) this.logger.error({ msg: 'a webhook endpoint is switched off', ...facts });
  }

  /** Signs with the endpoint's secrets and sends. It never throws. */
  async sendTo({ url, secrets }: Pick<Lane, 'url' | 'secrets'>, message: Message): Promise<Attempt> {
    try {
      const opened = secrets.map((each) => this.secrets.open(each));
      return await this.sender.send(url, opened, message);
    } catch (error) {
      return { ...NOTHING, isDelivered: false, error: (error as Error).message };
    }
  }
}

const NOTHING: Attempt = {
  isDelivered: true,
  status: null,
  error: null,
  retryAfterSeconds: 0,
  milliseconds: 0,
};
