import { randomUUID } from 'node:crypto';
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { PeriodicTask } from '../common/periodic-task.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { AccountingEvent, EventType } from '../events/event-types.js';
import { EventsService } from '../events/events.service.js';
import { alertText, type Burst, MOST_SHOWN } from './alert-message.js';
import { AlertSender } from './alert-sender.js';
import type { AlertChannel } from './entities/alert-rule.entity.js';

const LOOK_SECONDS = 2;
/** Beyond the time limits of an attempt: until then its process must have written down what came of it. */
const LEASE_MARGIN_SECONDS = 30;
/** Seconds before each retry; the last for all that follow. What waits is sent together when one succeeds. */
const PAUSES = [5, 30, 120, 600, 1800, 3600];
/** Events of one message, and stretches that are read for it. */
const READ_AT_ONCE = 1000;
const MOST_STRETCHES = 20;

/** Those of a channel that this instance cannot send to are left to the others for so long, and fail then. */
const OTHERS_SECONDS = 60;

/** Rules that may have something to send. */
const DUE = {
  name: 'alert_rules_due',
  text: `SELECT id, name, channel, recipients, url, event_types, account_id, time_zone, quiet_from, quiet_until, group_seconds,
                seen_event_id, now() AS now
           FROM alert_rules
          WHERE is_active AND due_at <= now() - CASE WHEN channel = ANY ($2::varchar[]) THEN interval '0' ELSE $3 * interval '1 second' END
            AND seen_event_id < $1 ORDER BY id`,
};
/** Of several instances one gets the rule: the others find it due later, or further on. */
const CLAIM = {
  name: 'alert_rule_claim',
  text: `UPDATE alert_rules SET lease = $3, due_at = now() + make_interval(secs => $4)
          WHERE id = $1 AND seen_event_id = $2 AND is_active AND due_at <= now() RETURNING attempts`,
};
const PASS = {
  name: 'alert_rule_pass',
  text: 'UPDATE alert_rules SET seen_event_id = $3 WHERE id = $1 AND seen_event_id = $2 AND due_at <= now()',
};
const WAIT = {
  name: 'alert_rule_wait',
  text: `UPDATE alert_rules SET due_at = now() + make_interval(secs => $3)
          WHERE id = $1 AND seen_event_id = $2 AND due_at <= now()`,
};
const SENT = {
  name: 'alert_rule_sent',
  text: `UPDATE alert_rules SET seen_event_id = $3, due_at = now(), lease = NULL, attempts = 0, last_sent_at = now(),
                failing_since = CASE WHEN $4::text IS NOT NULL THEN coalesce(failing_since, now()) END, last_error = $4
          WHERE id = $1 AND lease = $2`,
};
const FAILED = {
  name: 'alert_rule_failed',
  text: `UPDATE alert_rules SET due_at = now() + make_interval(secs => $3), lease = NULL, attempts = attempts + 1,
                failing_since = coalesce(failing_since, now()), last_error = $4
          WHERE id = $1 AND lease = $2`,
};

interface DueRule {
  id: string;
  name: string;
  channel: AlertChannel;
  recipients: string[] | null;
  url: string | null;
  event_types: EventType[] | null;
  account_id: string | null;
  time_zone: string;
  /** `22:00`, in time_zone. */
  quiet_from: string | null;
  quiet_until: string | null;
  group_seconds: number;
  seen_event_id: string;
  now: Date;
}

interface Found extends Burst {
  /** No event up to here that is wanted is missing. */
  readonly position: number;
}

/** Sends what alert rules wait for. Every instance that sweeps runs it. Rules in README.md beside this file. */
@Injectable()
export class AlertsDeliverer implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(AlertsDeliverer.name);
  private readonly task: PeriodicTask;
  /** By the rule's id. */
  private readonly works = new Map<string, Promise<void>>();

  constructor(
    private readonly database: Database,
    private readonly events: EventsService,
    private readonly sender: AlertSender,
    @Inject(APP_CONFIG) { sweepIntervalSeconds }: AppConfig,
  ) {
    const seconds = Math.min(LOOK_SECONDS, sweepIntervalSeconds);
    this.task = new PeriodicTask(this.logger, 'Alerts', seconds, () => this.begin());
  }

  onApplicationBootstrap(): void {
    this.task.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.task.stop();
    this.sender.close();
    await Promise.all(this.works.values());
  }

  /** One pass over all rules, and what comes of it. */
  async deliver(): Promise<void> {
    await this.begin();
    await Promise.all(this.works.values());
  }

  /** A pass does not wait for what it begins: a rule whose server is slow must not delay the next look at the others. */
  private async begin(): Promise<void> {
    const { newest } = await this.events.newest();
    const due = await this.database.rows<DueRule>(DUE, [newest, this.sender.channels, OTHERS_SECONDS]);
    for (const rule of due) {
      if (this.works.has(rule.id)) continue;
      const work = this.work(rule)
        .catch((error: Error) => this.logger.warn(`Alert rule ${rule.id} will run again: ${error.message}`))
        .finally(() => this.works.delete(rule.id));
      this.works.set(rule.id, work);
    }
  }

  private async work(rule: DueRule): Promise<void> {
    if (isQuiet(rule)) return;
    const seen = toSafeInteger(rule.seen_event_id);
    const found = await this.read(rule, seen);
    const [first] = found.events;
    if (first === undefined) {
      await this.database.rows(PASS, [rule.id, seen, found.position]);
      return;
    }
    const waited = (rule.now.getTime() - new Date(first.occurredAt).getTime()) / 1000;
    if (waited < rule.group_seconds) {
      await this.database.rows(WAIT, [rule.id, seen, rule.group_seconds - waited]);
      return;
    }
    await this.send(rule, seen, found);
  }

  private async send(rule: DueRule, seen: number, found: Found): Promise<void> {
    const lease = randomUUID();
    const claim = await this.database.row<{ attempts: number }>(CLAIM, [
      rule.id,
      seen,
      lease,
      Math.ceil(this.sender.limitOf(rule) / 1000) + LEASE_MARGIN_SECONDS,
    ]);
    if (claim === undefined) return;
    const id = `alert-${rule.id}-${seen}-${found.position}`;
    const text = alertText(rule.name, found, rule.time_zone);
    const { isDelivered, error, retryAfterSeconds } = await this.sender.send(rule, id, text);
    if (isDelivered) {
      await this.database.rows(SENT, [rule.id, lease, found.position, error]);
      return;
    }
    const pause = PAUSES[Math.min(claim.attempts, PAUSES.length - 1)] as number;
    await this.database.rows(FAILED, [rule.id, lease, Math.max(pause, retryAfterSeconds), error]);
    this.logger.warn({ msg: 'an alert was not sent and will be tried again', ruleId: rule.id, error });
  }

  private async read(rule: DueRule, seen: number): Promise<Found> {
    const filter = { accountId: rule.account_id ?? undefined, types: rule.event_types ?? undefined };
    const events: AccountingEvent[] = [];
    const counts = new Map<EventType, number>();
    let position = seen;
    for (let stretch = 0; stretch < MOST_STRETCHES; stretch++) {
      const next = await this.events.past(position, filter, READ_AT_ONCE);
      for (const { type } of next.events) counts.set(type, (counts.get(type) ?? 0) + 1);
      events.push(...next.events.slice(0, MOST_SHOWN - events.length));
      position = next.position;
      if (next.isEnd) break;
    }
    return { events, counts, position };
  }
}

/** By the clock of Node.js, which has checked the rule's time zone: PostgreSQL may not know its name. */
function isQuiet({ quiet_from: from, quiet_until: until, time_zone: timeZone, now }: DueRule): boolean {
  if (from === null || until === null) return false;
  const clock = new Intl.DateTimeFormat('sv-SE', { timeZone, timeStyle: 'short' }).format(now);
  return from <= until ? clock >= from && clock < until : clock >= from || clock < until;
}
