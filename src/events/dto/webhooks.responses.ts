import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { isoTime } from '../../common/http/time.js';
import {
  DISABLED_REASONS,
  type DisabledReason,
  type WebhookEndpoint,
} from '../entities/webhook-endpoint.entity.js';
import { EVENT_TYPES, type EventType } from '../event-types.js';

const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const NO_TIME = { ...TIME, nullable: true, example: null } as const;
const NEXT_CURSOR: ApiPropertyOptions = {
  type: 'string',
  nullable: true,
  description: 'null on the last page',
  example: null,
};

const STATUS: ApiPropertyOptions = {
  type: 'integer',
  nullable: true,
  minimum: 100,
  maximum: 599,
  description: 'The status that the receiver returned; null: none',
  example: 200,
};
const ERROR: ApiPropertyOptions = {
  type: 'string',
  nullable: true,
  description: 'Why it failed',
  example: null,
};

/** `pending`: waits or is tried again; `dead`: given up, and can be replayed. */
export const DELIVERY_STATUSES = ['pending', 'delivered', 'dead'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** What has become of an endpoint's deliveries lately. */
export interface WebhookActivity {
  readonly lastAttemptAt: Date | null;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
  readonly waitingDeliveries: number;
  readonly deadDeliveries: number;
}

/** Counting further would cost more than it is worth. */
export const MOST_COUNTED = 1000;
const COUNT: ApiPropertyOptions = { type: 'integer', minimum: 0, maximum: MOST_COUNTED, example: 0 };

export class WebhookDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'https://hooks.example/accounting' }) url: string;
  @ApiProperty({
    isArray: true,
    enum: EVENT_TYPES,
    enumName: 'EventType',
    nullable: true,
    description: 'null: all types',
    example: ['credits.low', 'credits.exhausted'],
  })
  eventTypes: EventType[] | null;
  @ApiProperty({ type: 'string', nullable: true, example: 'top-up reminders' }) description: string | null;
  @ApiProperty({ description: 'Whether events are delivered to it', example: true }) isActive: boolean;
  @ApiProperty({ ...NO_TIME, description: 'When it was switched off automatically' })
  disabledAt: string | null;
  @ApiProperty({
    enum: DISABLED_REASONS,
    enumName: 'DisabledReason',
    nullable: true,
    description: '`failing`: no success for five days; `gone`: it answered 410',
    example: null,
  })
  disabledReason: DisabledReason | null;
  @ApiProperty({ ...NO_TIME, description: 'Failing since then, without a success' })
  failingSince: string | null;
  @ApiProperty({ ...NO_TIME, description: 'When something was last sent to it, tests not counted' })
  lastAttemptAt: string | null;
  @ApiProperty({ ...STATUS, description: 'The status it returned then; null: none' }) lastStatus:
    number | null;
  @ApiProperty({ ...ERROR, description: 'Why that failed; null: it succeeded' }) lastError: string | null;
  @ApiProperty({ ...COUNT, description: 'Deliveries that wait; 1000: that many or more' })
  waitingDeliveries: number;
  @ApiProperty({ ...COUNT, description: 'Deliveries that failed permanently; 1000: that many or more' })
  deadDeliveries: number;
  @ApiProperty({ ...NO_TIME, description: 'Until then messages are signed with the old secret as well' })
  previousSecretUntil: string | null;
  @ApiProperty({ example: 'root' }) createdBy: string;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty(TIME) updatedAt: string;

  static from(endpoint: WebhookEndpoint, activity: WebhookActivity): WebhookDto {
    const timeOrNull = (time: Date | null) => (time === null ? null : isoTime(time));
    return {
      id: endpoint.id,
      url: endpoint.url,
      eventTypes: endpoint.eventTypes,
      description: endpoint.description,
      isActive: endpoint.isActive,
      disabledAt: timeOrNull(endpoint.disabledAt),
      disabledReason: endpoint.disabledReason,
      failingSince: timeOrNull(endpoint.failingSince),
      lastAttemptAt: timeOrNull(activity.lastAttemptAt),
      lastStatus: activity.lastStatus,
      lastError: activity.lastError,
      waitingDeliveries: activity.waitingDeliveries,
      deadDeliveries: activity.deadDeliveries,
      previousSecretUntil: timeOrNull(endpoint.previousSecretUntil),
      createdBy: endpoint.createdBy,
      createdAt: isoTime(endpoint.createdAt),
      updatedAt: isoTime(endpoint.updatedAt),
    };
  }
}

export class CreatedWebhookDto extends WebhookDto {
  @ApiProperty({
    description: 'What messages are signed with, shown this once',
    example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=',
  })
  secret: string;
}

export class WebhookPageDto {
  @ApiProperty({ type: () => [WebhookDto] }) items: WebhookDto[];
  @ApiProperty(NEXT_CURSOR) nextCursor: string | null;
}

export class TestResultDto {
  @ApiProperty({ description: 'Whether the receiver answered 2xx', example: true }) isDelivered: boolean;
  @ApiProperty(STATUS) status: number | null;
  @ApiProperty(ERROR) error: string | null;
  @ApiProperty({ type: 'integer', minimum: 0, example: 84 }) milliseconds: number;
}

export class DeliveryDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ ...ID, description: 'The event' }) eventId: number;
  @ApiProperty({ enum: EVENT_TYPES, enumName: 'EventType', example: 'credits.low' }) eventType: EventType;
  @ApiProperty({ description: 'The header `webhook-id` of its messages', example: 'evt_1_mi2r4w00' })
  webhookId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({
    enum: DELIVERY_STATUSES,
    enumName: 'DeliveryStatus',
    description: '`pending`: waiting or retrying; `dead`: failed permanently, can be replayed',
    example: 'delivered',
  })
  status: DeliveryStatus;
  @ApiProperty({ type: 'integer', minimum: 0, example: 1 }) attempts: number;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty({ ...TIME, nullable: true }) lastAttemptAt: string | null;
  @ApiProperty({
    ...NO_TIME,
    description: 'When the first that waits of this user is due again; null: not waiting, or switched off',
  })
  nextAttemptAt: string | null;
  @ApiProperty(STATUS) lastStatus: number | null;
  @ApiProperty(ERROR) lastError: string | null;
  @ApiProperty({ ...TIME, nullable: true }) deliveredAt: string | null;
}

export class DeliveryPageDto {
  @ApiProperty({ type: () => [DeliveryDto] }) items: DeliveryDto[];
  @ApiProperty(NEXT_CURSOR) nextCursor: string | null;
}

export class ReplayDto {
  @ApiProperty({
    type: 'integer',
    minimum: 0,
    description: 'Deliveries that will be sent; 10,000 at most, then call again',
    example: 3,
  })
  replayed: number;
}
