import { CursorField, isCursor, PageQueryDto } from '../../common/http/page.js';
import {
  BooleanField,
  EnumField,
  EnumListField,
  IdField,
  IntegerField,
  TextField,
  TimeField,
} from '../../common/http/validators.js';
import { EVENT_TYPES, type EventType } from '../event-types.js';
import { DELIVERY_STATUSES, type DeliveryStatus } from './webhooks.responses.js';

const URL_LENGTH = 2000;
const DESCRIPTION_LENGTH = 200;
/** 7 days. */
const MAXIMUM_OVERLAP_SECONDS = 604_800;
const DEFAULT_OVERLAP_SECONDS = 86_400;

const TARGET = {
  description:
    'URL that receives the events. It must use https, unless WEBHOOK_ALLOW_HTTP is on, and must not ' +
    'contain a user or password. Private addresses are refused unless WEBHOOK_ALLOW_PRIVATE_ADDRESSES ' +
    'is on',
  example: 'https://hooks.example/accounting',
};
const TYPES = {
  description: 'Event types to deliver; null: all, including types added later',
  example: ['credits.low', 'credits.exhausted'],
  required: false,
  nullable: true,
};
const DESCRIPTION = {
  description: 'A note for admins',
  example: 'top-up reminders',
  required: false,
  nullable: true,
};

export class CreateWebhookDto {
  @IdField(URL_LENGTH, TARGET)
  url: string;

  @EnumListField('EventType', EVENT_TYPES, { ...TYPES, minimumItems: 1 })
  eventTypes?: EventType[] | null;

  @TextField(DESCRIPTION_LENGTH, DESCRIPTION)
  description?: string | null;

  @BooleanField({
    description: 'Whether events are delivered to the endpoint',
    example: true,
    required: false,
    default: true,
  })
  isActive: boolean = true;
}

export class UpdateWebhookDto {
  @IdField(URL_LENGTH, { ...TARGET, required: false })
  url?: string;

  @EnumListField('EventType', EVENT_TYPES, { ...TYPES, minimumItems: 1 })
  eventTypes?: EventType[] | null;

  @TextField(DESCRIPTION_LENGTH, DESCRIPTION)
  description?: string | null;

  @BooleanField({
    description:
      'false: pending deliveries are kept, and no new events are queued. true: pending deliveries are ' +
      'sent',
    example: true,
    required: false,
  })
  isActive?: boolean;
}

export class RotateWebhookSecretDto {
  @IntegerField(0, MAXIMUM_OVERLAP_SECONDS, {
    description: 'How many seconds messages are also signed with the old secret, at most 7 days',
    example: 3600,
    required: false,
    default: DEFAULT_OVERLAP_SECONDS,
  })
  overlapSeconds: number = DEFAULT_OVERLAP_SECONDS;
}

export class ReplayWebhookDto {
  @TimeField({
    description:
      'Sends everything again that has failed permanently, or was missed while the endpoint was switched ' +
      'off, since this time',
    example: '2026-11-21T00:00:00Z',
  })
  since: string;

  @CursorField(isCursor, { maxLength: 40, example: 'MTIz' })
  cursor?: string;
}

export class DeliveriesQueryDto extends PageQueryDto {
  @EnumField('DeliveryStatus', DELIVERY_STATUSES, {
    description: 'Only deliveries with this status',
    example: 'dead',
    required: false,
  })
  status?: DeliveryStatus;
}
