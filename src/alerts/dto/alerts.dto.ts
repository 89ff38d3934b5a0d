import { ApiProperty } from '@nestjs/swagger';
import { isoTime, timeZoneProblem } from '../../common/http/time.js';
import {
  AccountField,
  BooleanField,
  EnumField,
  EnumListField,
  IdField,
  IdListField,
  IntegerField,
  Together,
} from '../../common/http/validators.js';
import { EVENT_TYPES, type EventType } from '../../events/event-types.js';
import { ALERT_CHANNELS, type AlertChannel, type AlertRule } from '../entities/alert-rule.entity.js';

const MAXIMUM_RECIPIENTS = 20;
const MAXIMUM_GROUP_SECONDS = 86_400;
const DEFAULT_GROUP_SECONDS = 60;
const ADDRESS = /^[^\s@<>,;:"]+@[^\s@<>,;:"]+$/;
const CLOCK = /^([01]\d|2[0-3]):[0-5]\d$/;

const NAME = {
  description: 'What the rule is for; every message begins with it',
  example: 'Credits run out',
};
const RECIPIENTS = {
  description: 'E-mail addresses, for the channel `email`',
  example: ['ops@example.com'],
  required: false,
};
const URL_FIELD = {
  description:
    'URL of a Slack-compatible incoming webhook, for the channel `slack`. It is stored as a secret and never shown ' +
    'again. The same rules hold as for webhook endpoints',
  example: 'https://hooks.slack.example/services/T000/B000/XXXX',
  required: false,
};
const TYPES = {
  description: 'Event types; null: all, including types added later',
  example: ['credits.exhausted', 'usage.needs_review'],
  required: false,
  nullable: true,
};
const ACCOUNT = {
  description: 'Only events of this account; null: of every account',
  required: false,
  nullable: true,
};
const ZONE = {
  description: 'Time zone of the quiet hours and of the times in messages: UTC, or an IANA name',
  example: 'Europe/Berlin',
  required: false,
};
const QUIET_FROM = {
  description:
    'Local time (`HH:MM`) at which quiet hours begin. What happens then is sent in one message when they end. Null: there ' +
    'are none',
  example: '22:00',
  required: false,
  nullable: true,
};
const QUIET_UNTIL = { ...QUIET_FROM, description: 'Local time at which quiet hours end', example: '07:00' };
const GROUP = {
  description:
    'How many seconds after the first event its message waits for further ones; 0: it is sent at once',
  example: 60,
  required: false,
};
const ACTIVE = {
  description: 'Whether the rule sends messages. Events that happen while it is off are not sent later',
  example: true,
  required: false,
};

interface QuietHours {
  quietFrom?: string | null;
  quietUntil?: string | null;
}

const clockProblem = (time: string | null | undefined) =>
  (time ?? null) === null || CLOCK.test(time as string) ? undefined : 'must be a time such as 22:00';
const addressProblem = (recipients: unknown) =>
  !Array.isArray(recipients) || recipients.every((each) => ADDRESS.test(String(each)))
    ? undefined
    : 'must contain e-mail addresses only, such as ops@example.com';

export class CreateAlertRuleDto {
  @IdField(100, NAME)
  name: string;

  @EnumField('AlertChannel', ALERT_CHANNELS, { description: 'How messages are sent', example: 'email' })
  channel: AlertChannel;

  @IdListField(MAXIMUM_RECIPIENTS, 255, RECIPIENTS)
  @Together('addresses', ({ recipients }: CreateAlertRuleDto) => addressProblem(recipients))
  recipients?: string[];

  @IdField(2000, URL_FIELD)
  url?: string;

  @EnumListField('EventType', EVENT_TYPES, { ...TYPES, minimumItems: 1 })
  eventTypes?: EventType[] | null;

  @AccountField(ACCOUNT)
  accountId?: string | null;

  @IdField(64, { ...ZONE })
  @Together('zone', ({ timeZone }: CreateAlertRuleDto) => timeZoneProblem(timeZone))
  timeZone: string = 'UTC';

  @IdField(5, QUIET_FROM)
  @Together('from', ({ quietFrom }: QuietHours) => clockProblem(quietFrom))
  quietFrom?: string | null;

  @IdField(5, QUIET_UNTIL)
  @Together('until', ({ quietUntil }: QuietHours) => clockProblem(quietUntil))
  quietUntil?: string | null;

  @IntegerField(0, MAXIMUM_GROUP_SECONDS, { ...GROUP, default: DEFAULT_GROUP_SECONDS })
  groupSeconds: number = DEFAULT_GROUP_SECONDS;

  @BooleanField({ ...ACTIVE, default: true })
  isActive: boolean = true;
}

export class UpdateAlertRuleDto {
  @IdField(100, { ...NAME, required: false })
  name?: string;

  @IdListField(MAXIMUM_RECIPIENTS, 255, RECIPIENTS)
  @Together('addresses', ({ recipients }: UpdateAlertRuleDto) => addressProblem(recipients))
  recipients?: string[];

  @IdField(2000, URL_FIELD)
  url?: string;

  @EnumListField('EventType', EVENT_TYPES, { ...TYPES, minimumItems: 1 })
  eventTypes?: EventType[] | null;

  @AccountField(ACCOUNT)
  accountId?: string | null;

  @IdField(64, ZONE)
  @Together('zone', ({ timeZone }: UpdateAlertRuleDto) =>
    timeZone === undefined ? undefined : timeZoneProblem(timeZone),
  )
  timeZone?: string;

  @IdField(5, QUIET_FROM)
  @Together('from', ({ quietFrom }: QuietHours) => clockProblem(quietFrom))
  quietFrom?: string | null;

  @IdField(5, QUIET_UNTIL)
  @Together('until', ({ quietUntil }: QuietHours) => clockProblem(quietUntil))
  quietUntil?: string | null;

  @IntegerField(0, MAXIMUM_GROUP_SECONDS, GROUP)
  groupSeconds?: number;

  @BooleanField(ACTIVE)
  isActive?: boolean;
}

const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const NO_TIME = { ...TIME, nullable: true, example: null } as const;
const NO_TEXT = { type: 'string', nullable: true, example: null } as const;

export class AlertRuleDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, example: 1 }) id: number;
  @ApiProperty({ example: 'Credits run out' }) name: string;
  @ApiProperty({ enum: ALERT_CHANNELS, enumName: 'AlertChannel', example: 'email' }) channel: AlertChannel;
  @ApiProperty({
    type: [String],
    nullable: true,
    description: 'E-mail addresses; null for another channel',
    example: ['ops@example.com'],
  })
  recipients: string[] | null;
  @ApiProperty({ ...NO_TEXT, description: 'Server that messages are posted to; null for e-mail' })
  target: string | null;
  @ApiProperty({
    isArray: true,
    enum: EVENT_TYPES,
    enumName: 'EventType',
    nullable: true,
    description: 'Event types; null: all',
    example: ['credits.exhausted'],
  })
  eventTypes: EventType[] | null;
  @ApiProperty({ ...NO_TEXT, description: 'Only events of this account; null: of every account' })
  accountId: string | null;
  @ApiProperty({ example: 'Europe/Berlin' }) timeZone: string;
  @ApiProperty({ ...NO_TEXT, description: 'Local time at which quiet hours begin; null: there are none' })
  quietFrom: string | null;
  @ApiProperty({ ...NO_TEXT, description: 'Local time at which quiet hours end' }) quietUntil: string | null;
  @ApiProperty({ type: 'integer', minimum: 0, maximum: MAXIMUM_GROUP_SECONDS, example: 60 })
  groupSeconds: number;
  @ApiProperty({ example: true }) isActive: boolean;
  @ApiProperty({ ...NO_TIME, description: 'Time of the last message, not counting tests' })
  lastSentAt: string | null;
  @ApiProperty({
    ...NO_TIME,
    description: 'Time since which every attempt has failed; null if the last one succeeded',
  })
  failingSince: string | null;
  @ApiProperty({ ...NO_TEXT, description: 'Why the last attempt failed; null if it succeeded' })
  lastError: string | null;
  @ApiProperty({ example: 'root' }) createdBy: string;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty(TIME) updatedAt: string;

  /** @param url as it was before it was sealed */
  static from(rule: AlertRule, url: string | null): AlertRuleDto {
    const timeOrNull = (time: Date | null) => (time === null ? null : isoTime(time));
    return {
      id: rule.id,
      name: rule.name,
      channel: rule.channel,
      recipients: rule.recipients,
      // Anyone who knows the rest can write there.
      target: url === null ? null : new URL(url).origin,
      eventTypes: rule.eventTypes,
      accountId: rule.accountId,
      timeZone: rule.timeZone,
      quietFrom: rule.quietFrom,
      quietUntil: rule.quietUntil,
      groupSeconds: rule.groupSeconds,
      isActive: rule.isActive,
      lastSentAt: timeOrNull(rule.lastSentAt),
      failingSince: timeOrNull(rule.failingSince),
      lastError: rule.lastError,
      createdBy: rule.createdBy,
      createdAt: isoTime(rule.createdAt),
      updatedAt: isoTime(rule.updatedAt),
    };
  }
}

export class AlertRulePageDto {
  @ApiProperty({ type: [AlertRuleDto] }) items: AlertRuleDto[];
  @ApiProperty({ ...NO_TEXT, description: 'Cursor of the next page; null on the last page' })
  nextCursor: string | null;
}
