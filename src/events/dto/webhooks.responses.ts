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
  description: 'Cursor of the next page; null on the last page',
  example: null,
};

const STATUS: ApiPropertyOptions = {
  type: 'integer',
  nullable: true,
  minimum: 100,
  maximum: 599,
  description: 'HTTP status of the last response; null if there was none',
  example: 200,
};
const ERROR: ApiPropertyOptions = {
  type: 'string',
  nullable: true,
  description: 'Why the last attempt failed; null if it did not',
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
    description: 'Event types to deliver; null: all',
    example: ['credits.low', 'credits.exhausted'],
  })
  eventTypes: EventType[] | null;
  @ApiProperty({ type: 'string', nullable: true, example: 'top-up reminders' }) description: string | null;
  @ApiProperty({ description: 'Whether events are delivered to the endpoint', example: true })
  isActive: boolean;
  @ApiProperty({ ...NO_TIME, description: 'When the service switched the endpoint off automatically' })
  disabledAt: string | null;
  @ApiProperty({
    enum: DISABLED_REASONS,
    enumName: 'DisabledReason',
    nullable: true,
    description: '`failing`: no delivery has succeeded for five days; `gone`: the endpoint answered 410',
    example: 'failing',
  })
  disabledReason: DisabledReason | null;
  @ApiProperty({
    ...NO_TIME,
    description: 'Time since which every delivery has failed; null if the last one succeeded',
  })
  failingSince: string | null;
  @ApiProperty({ ...NO_TIME, description: 'Time of the last delivery attempt, not counting tests' })
  lastAttemptAt: string | null;
  @ApiProperty({
    ...STATUS,
    description: 'HTTP status of the response to that attempt; null if there was no response',
  })
  lastStatus: number | null;
  @ApiProperty({ ...ERROR, description: 'Why that attempt failed; null if it succeeded' }) lastError:
    string | null;
  @ApiProperty({ ...COUNT, description: 'Number of waiting deliveries; 1000 means 1,000 or more' })
  waitingDeliveries: number;
  @ApiProperty({
    ...COUNT,
    description: 'Number of deliveries that failed permanently; 1000 means 1,000 or more',
  })
  deadDeliveries: number;
  @ApiProperty({ ...NO_TIME, description: 'Time until which messages are also signed with the old secret' })
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
    description: 'The secret that signs messages, shown only in this response',
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
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 0, example: 84 }) milliseconds: number;
}

export class DeliveryDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ ...ID, description: 'Id of the event' }) eventId: number;
  @ApiProperty({ enum: EVENT_TYPES, enumName: 'EventType', example: 'credits.low' }) eventType: EventType;
  @ApiProperty({ description: 'The header `webhook-id` of the messages', example: 'evt_1_mi2r4w00' })
  webhookId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({
    enum: DELIVERY_STATUSES,
    enumName: 'DeliveryStatus',
    description: '`pending`: waiting or being retried; `dead`: failed permanently, can be sent again',
    example: 'delivered',
  })
  status: DeliveryStatus;
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 0, example: 1 }) attempts: number;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty({ ...TIME, nullable: true }) lastAttemptAt: string | null;
  @ApiProperty({
    ...NO_TIME,
    description:
      'When the next attempt is due. Deliveries of a user are sent in order, so an earlier one may come first. null if this ' +
      'delivery is not waiting, or the endpoint is switched off',
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
    format: 'int64',
    minimum: 0,
    description: 'Number of deliveries that will be sent, at most 10,000',
    example: 3,
  })
  replayed: number;
  @ApiProperty({
    ...NEXT_CURSOR,
    description: 'Set if there may be more: call again with the same `since` and this as `cursor`',
  })
  nextCursor: string | null;
}
