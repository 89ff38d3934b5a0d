import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, LessThan, Repository } from 'typeorm';
import { noteActivity } from '../common/database/activity.js';
import { Changes, type Once } from '../common/database/changes.js';
import { ValidationError } from '../common/errors/service-error.js';
import type { Author } from '../common/http/author.js';
import { idempotencyScope } from '../common/http/caller.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { decodeCursor, type PageQueryDto, toPage } from '../common/http/page.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { TestResultDto } from '../events/dto/webhooks.responses.js';
import { TargetRefused } from '../events/events.errors.js';
import { EventsService } from '../events/events.service.js';
import { WebhookSecrets } from '../events/webhook-secrets.js';
import { targetProblem } from '../events/webhook-target.js';
import { AlertSender } from './alert-sender.js';
import {
  AlertRuleNotFound,
  EmailNotConfigured,
  MAXIMUM_ALERT_RULES,
  TooManyAlertRules,
} from './alerts.errors.js';
import {
  AlertRuleDto,
  type AlertRulePageDto,
  type CreateAlertRuleDto,
  type UpdateAlertRuleDto,
} from './dto/alerts.dto.js';
import { AlertRule } from './entities/alert-rule.entity.js';

/** Changes come one after the other: so the number of rules is bounded. */
const TURN = 'alert_rules';
const LOCK = `SELECT pg_advisory_xact_lock(hashtextextended('${TURN}', 0))`;

/** Rules by which people get alerts. Rules in README.md beside this file. */
@Injectable()
export class AlertsService {
  constructor(
    @InjectRepository(AlertRule) private readonly rules: Repository<AlertRule>,
    private readonly changes: Changes,
    private readonly events: EventsService,
    private readonly secrets: WebhookSecrets,
    private readonly sender: AlertSender,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** It begins with the next event. @throws ValidationError, TargetRefused, EmailNotConfigured, TooManyAlertRules */
  async create(caller: Author, request: CreateAlertRuleDto, key: string | null): Promise<Once<AlertRuleDto>> {
    const { url, ...rest } = request;
    this.requireTarget(request.channel, request, true);
    requireQuietHours(request.quietFrom ?? null, request.quietUntil ?? null);
    const once = idempotencyOf(idempotencyScope(caller), 'alert-rule', key, request);
    const { newest } = await this.events.newest();
    return this.changes.once(TURN, once, async (manager) => {
      await manager.query(LOCK);
      if ((await manager.count(AlertRule)) >= MAXIMUM_ALERT_RULES) throw new TooManyAlertRules();
      const { identifiers } = await manager.insert(AlertRule, {
        ...rest,
        recipients: rest.recipients ?? null,
        url: url === undefined ? null : this.secrets.seal(url),
        eventTypes: rest.eventTypes ?? null,
        accountId: rest.accountId ?? null,
        quietFrom: rest.quietFrom ?? null,
        quietUntil: rest.quietUntil ?? null,
        seenEventId: newest,
        createdBy: caller.userId,
      });
      const made = await this.find(manager, Number(identifiers[0]?.id));
      const after = settingsOf(made);
      await noteActivity(manager, caller, { action: 'alert_rule.created', subject: made.id, after });
      return made;
    });
  }

  /** Newest first. */
  async page({ limit, cursor }: PageQueryDto): Promise<AlertRulePageDto> {
    const before = decodeCursor(cursor);
    const rules = await this.rules.find({
      where: before === undefined ? {} : { id: LessThan(before) },
      order: { id: 'DESC' },
      take: limit + 1,
    });
    return toPage(rules, limit, (rule) => this.describe(rule));
  }

  /** @throws AlertRuleNotFound */
  one(id: number): Promise<AlertRuleDto> {
    return this.find(this.rules.manager, id);
  }

  /**
   * Changes what is given. Switched on, a rule begins with the next event; with another target what waits is sent at once.
   *
   * @throws AlertRuleNotFound, ValidationError, TargetRefused, EmailNotConfigured
   */
  async update(caller: Author, id: number, request: UpdateAlertRuleDto): Promise<AlertRuleDto> {
    const { url, ...rest } = request;
    const { newest } = await this.events.newest();
    return this.changes.transaction(TURN, async (manager) => {
      const rule = await manager.findOne(AlertRule, { where: { id }, lock: { mode: 'for_no_key_update' } });
      if (rule === null) throw new AlertRuleNotFound();
      this.requireTarget(rule.channel, request, false);
      const { quietFrom = rule.quietFrom, quietUntil = rule.quietUntil } = request;
      requireQuietHours(quietFrom, quietUntil);
      const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
      const isNew = url !== undefined || rest.recipients !== undefined;
      await manager.update(
        AlertRule,
        { id },
        {
          ...given,
          ...(url === undefined ? {} : { url: this.secrets.seal(url) }),
          ...(request.isActive === true && !rule.isActive ? { seenEventId: newest } : {}),
          ...(isNew ? { attempts: 0, failingSince: null, lastError: null } : {}),
          // What is being sent at this moment keeps its lease.
          ...(rule.lease === null ? { dueAt: () => 'now()' } : {}),
          updatedAt: () => 'now()',
        },
      );
      const after = await this.find(manager, id);
      await noteActivity(manager, caller, {
        action: 'alert_rule.changed',
        subject: id,
        before: settingsOf(this.describe(rule)),
        after: { ...settingsOf(after), ...(url === undefined ? {} : { isUrlReplaced: true }) },
      });
      return after;
    });
  }

  /** @throws AlertRuleNotFound */
  async delete(caller: Author, id: number): Promise<void> {
    await this.changes.transaction(TURN, async (manager) => {
      const rule = await this.find(manager, id);
      await manager.delete(AlertRule, { id });
      const before = settingsOf(rule);
      await noteActivity(manager, caller, { action: 'alert_rule.deleted', subject: id, before });
    });
  }

  /** Sends a message at once, also in quiet hours and by a rule that is off. Nothing is kept of it. @throws AlertRuleNotFound */
  async test(id: number): Promise<TestResultDto> {
    const rule = await this.rules.findOneBy({ id });
    if (rule === null) throw new AlertRuleNotFound();
    const text = {
      subject: `${rule.name}: test`,
      lines: ['This is a test of an alert rule of the accounting service. Nothing has happened.'],
    };
    const attempt = await this.sender.send(rule, `test-${randomUUID()}`, text);
    const { isDelivered, status, error, milliseconds } = attempt;
    return { isDelivered, status, error, milliseconds };
  }

  private requireTarget(
    channel: AlertRule['channel'],
    { recipients, url }: { recipients?: string[] | undefined; url?: string | undefined },
    isNew: boolean,
  ): void {
    const targets = { email: recipients, slack: url };
    const fields = { email: 'recipients', slack: 'url' };
    const other = channel === 'email' ? 'slack' : 'email';
    if (targets[other] !== undefined)
      throw new ValidationError([{ field: fields[other], message: `is for the channel ${other} only` }]);
    if (isNew && targets[channel] === undefined)
      throw new ValidationError([
        { field: fields[channel], message: `is required for the channel ${channel}` },
      ]);
    if (channel === 'email' && recipients !== undefined && !this.sender.channels.includes('email'))
      throw new EmailNotConfigured();
    const problem = url === undefined ? undefined : targetProblem(url, this.config.webhooks);
    if (problem !== undefined) throw new TargetRefused(problem);
  }

  private async find(manager: EntityManager, id: number): Promise<AlertRuleDto> {
    const rule = await manager.findOneBy(AlertRule, { id });
    if (rule === null) throw new AlertRuleNotFound();
    return this.describe(rule);
  }

  private describe(rule: AlertRule): AlertRuleDto {
    return AlertRuleDto.from(rule, rule.url === null ? null : this.opened(rule.url));
  }

  /** Null when it was stored under another key: then a test, or the next message, says so. */
  private opened(url: string): string | null {
    try {
      return this.secrets.open(url);
    } catch {
      return null;
    }
  }
}

function requireQuietHours(from: string | null, until: string | null): void {
  if ((from === null) !== (until === null))
    throw new ValidationError([
      {
        field: from === null ? 'quietFrom' : 'quietUntil',
        message: 'is required: quiet hours have a beginning and an end',
      },
    ]);
  if (from !== null && from === until)
    throw new ValidationError([{ field: 'quietUntil', message: 'must not be when the quiet hours begin' }]);
}

/** What people set of a rule, without what becomes of its messages. */
function settingsOf(rule: AlertRuleDto): object {
  const { name, channel, recipients, target, eventTypes, accountId } = rule;
  const { timeZone, quietFrom, quietUntil, groupSeconds, isActive } = rule;
  return {
    ...{ name, channel, recipients, target, eventTypes, accountId },
    ...{ timeZone, quietFrom, quietUntil, groupSeconds, isActive },
  };
}
