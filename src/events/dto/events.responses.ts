import type { Type } from '@nestjs/common';
import { ApiExtraModels, ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { BY_TYPE } from '../../common/http/openapi-schemas.js';
import { EVENT_TYPES, type EventType, TEST_TYPE } from '../event-types.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;
const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;

/** `credits.exhausted`: nothing is left, neither available nor held. */
export class CreditsExhaustedData {
  @ApiProperty({ ...CREDITS, description: 'Available plus held credits', example: 0 }) credits: number;
  @ApiProperty({ ...CREDITS, example: 0 }) availableCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits held by active sessions', example: 0 })
  heldCredits: number;
}

/** `credits.low`: they have come down to the threshold. */
export class CreditsLowData {
  @ApiProperty({ ...CREDITS, description: 'Available plus held credits', example: 97 }) credits: number;
  @ApiProperty({ ...CREDITS, example: 93 }) availableCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits held by active sessions', example: 4 })
  heldCredits: number;
  @ApiProperty({ ...CREDITS, minimum: 1, example: 100 }) threshold: number;
}

/** `credits.recovered`: credits that were low or exhausted no longer are, or are only low. */
export class CreditsRecoveredData {
  @ApiProperty({ ...CREDITS, description: 'Available plus held credits', example: 597 }) credits: number;
  @ApiProperty({ ...CREDITS, example: 593 }) availableCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits held by active sessions', example: 4 })
  heldCredits: number;
  @ApiProperty({ ...CREDITS, description: 'The threshold; 0: credits never count as low', example: 100 })
  threshold: number;
  @ApiProperty({ description: 'Whether the credits are still at or below the threshold', example: false })
  isLow: boolean;
}

/** `credits.expiring`: a lot will expire soon. */
export class CreditsExpiringData {
  @ApiProperty({ ...ID, description: 'Id of the lot' }) allocationId: number;
  @ApiProperty({
    ...CREDITS,
    description: 'Credits left in the lot when the event was emitted',
    example: 250,
  })
  credits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits originally allocated', example: 1000 })
  totalCredits: number;
  @ApiProperty(TIME) expiresAt: string;
}

/** `credits.expired`: credits of a lot have expired unspent. */
export class CreditsExpiredData {
  @ApiProperty({ ...ID, description: 'Id of the lot' }) allocationId: number;
  @ApiProperty({ ...CREDITS, minimum: 1, description: 'Credits that expired', example: 250 }) credits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits originally allocated', example: 1000 })
  totalCredits: number;
  @ApiProperty(TIME) expiresAt: string;
}

/** Who spent, and what for. */
class SpenderData {
  @ApiProperty({ description: 'Who spent', example: 'alice' }) userId: string;
  @ApiProperty({ ...ID, nullable: true, description: 'Unit of the organisation', example: null })
  unitId: number | null;
  @ApiProperty({ ...ID, nullable: true, description: 'API key that was used', example: null })
  apiKeyId: number | null;
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    nullable: true,
    example: { feature: 'search' },
  })
  tags: Record<string, string> | null;
}

/** `session.timed_out`: no sign of life for the length of the lease; the last progress was charged. */
export class SessionTimedOutData extends SpenderData {
  @ApiProperty({ example: 's1' }) sessionId: string;
  @ApiProperty({ example: 'gpt-4o-mini' }) modelId: string;
  @ApiProperty(TIME) startedAt: string;
  @ApiProperty({ ...CREDITS, description: 'Tokens in the last reported progress', example: 400 })
  tokensGenerated: number;
  @ApiProperty({ ...CREDITS, description: 'Credits held until the time-out', example: 4 })
  heldCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits charged', example: 2 }) usedCredits: number;
  @ApiProperty({
    ...CREDITS,
    description: 'The part of `usedCredits` that the account could not pay',
    example: 0,
  })
  uncollectedCredits: number;
}

/** `usage.needs_review`: a finished call that could not be paid for, or not be priced. */
export class UsageNeedsReviewData extends SpenderData {
  @ApiProperty({ ...ID, description: 'Id of the usage record' }) usageId: number;
  @ApiProperty({ ...ID, description: 'Version of the record, which a review must name' }) version: number;
  @ApiProperty({ example: 'chat' }) service: string;
  @ApiProperty({ description: 'The operation; for chats, the model', example: 'gpt-4o-mini' })
  operation: string;
  @ApiProperty({ ...CREDITS, description: 'Cost of the call', example: 12 }) credits: number;
  @ApiProperty({ ...CREDITS, example: 12 }) uncollectedCredits: number;
  @ApiProperty({ type: 'string', nullable: true, example: 'call-1' }) requestId: string | null;
  @ApiProperty({ type: 'string', nullable: true, example: null }) sessionId: string | null;
}

export const SETTLED_STATUSES = ['billed', 'waived'] as const;

/** `usage.settled`: a call no longer waits for a review. */
export class UsageSettledData extends UsageNeedsReviewData {
  @ApiProperty({
    enum: SETTLED_STATUSES,
    enumName: 'SettledStatus',
    description:
      '`billed`: a review or a late finalize has paid it; `waived`: the unpaid part is no longer ' +
      'collected',
    example: 'billed',
  })
  billingStatus: (typeof SETTLED_STATUSES)[number];
}

/** `api_key.created`, `api_key.expiring` and `api_key.expired`. Never the key itself. */
export class ApiKeyData {
  @ApiProperty(ID) keyId: number;
  @ApiProperty({ example: 'nightly report' }) name: string;
  @ApiProperty({ example: 'ak_…MTIz' }) keyHint: string;
  @ApiProperty({ ...TIME, nullable: true }) expiresAt: string | null;
}

export const REVOCATION_REASONS = ['revoked', 'rotated'] as const;

/** `api_key.revoked`: the key no longer works. */
export class ApiKeyRevokedData extends ApiKeyData {
  @ApiProperty({
    enum: REVOCATION_REASONS,
    enumName: 'RevocationReason',
    description: '`revoked`: the key was revoked; `rotated`: a rotation without overlap ended the key',
    example: 'revoked',
  })
  reason: (typeof REVOCATION_REASONS)[number];
}

/** `budget.exhausted` and `limit.reached`: the limit is used up, or has refused a call for the first time in its period. */
export class BudgetData {
  @ApiProperty(ID) budgetId: number;
  @ApiProperty({ example: 'unit' }) scope: string;
  @ApiProperty({ type: 'string', nullable: true, example: '7' }) scopeId: string | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The member whose period it is, for budgets of each member',
    example: null,
  })
  userId: string | null;
  @ApiProperty({ example: 'credits' }) unit: string;
  @ApiProperty({ example: 'month' }) window: string;
  @ApiProperty({ ...CREDITS, description: 'The amount with its raises, in the unit', example: 1000 })
  limit: number;
  @ApiProperty({ ...CREDITS, example: 1000 }) used: number;
  @ApiProperty({ ...CREDITS, description: 'Reserved by open sessions', example: 0 }) held: number;
  @ApiProperty({ ...TIME, nullable: true, description: 'End of the period; null: it has none' })
  resetsAt: string | null;
}

/** `budget.threshold`: as much is used as one of the budget's alerts says. */
export class BudgetThresholdData extends BudgetData {
  @ApiProperty({ type: 'integer', minimum: 1, maximum: 100, example: 80 }) percent: number;
}

/** `budget.recovered`: a budget that was exhausted no longer is: by a raise, a correction or a new period. */
export class BudgetRecoveredData extends BudgetData {}

/** `organisation.created`, `organisation.renamed`, `organisation.archived`. */
export class OrganisationData {
  @ApiProperty({ example: 'Acme' }) name: string;
}

/** `organisation.member_added`, `organisation.member_changed`, `organisation.member_removed`. */
export class OrganisationMemberData {
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ example: 'member' }) role: string;
  @ApiProperty({ type: 'integer', format: 'int64', nullable: true, minimum: 1, example: 1 }) unitId:
    number | null;
}

const DATA: Record<EventType, Type> = {
  'credits.low': CreditsLowData,
  'credits.exhausted': CreditsExhaustedData,
  'credits.recovered': CreditsRecoveredData,
  'credits.expiring': CreditsExpiringData,
  'credits.expired': CreditsExpiredData,
  'session.timed_out': SessionTimedOutData,
  'usage.needs_review': UsageNeedsReviewData,
  'usage.settled': UsageSettledData,
  'api_key.created': ApiKeyData,
  'api_key.revoked': ApiKeyRevokedData,
  'api_key.expiring': ApiKeyData,
  'api_key.expired': ApiKeyData,
  'budget.threshold': BudgetThresholdData,
  'budget.exhausted': BudgetData,
  'budget.recovered': BudgetRecoveredData,
  'limit.reached': BudgetData,
  'organisation.created': OrganisationData,
  'organisation.renamed': OrganisationData,
  'organisation.archived': OrganisationData,
  'organisation.member_added': OrganisationMemberData,
  'organisation.member_changed': OrganisationMemberData,
  'organisation.member_removed': OrganisationMemberData,
};

/** An event, as pages, the stream and webhooks show it. */
@ApiExtraModels(...Object.values(DATA))
export class EventDto {
  @ApiProperty({
    ...ID,
    description: 'Id of the event. Ids increase in the order in which events are published',
  })
  id: number;
  @ApiProperty({ enum: EVENT_TYPES, enumName: 'EventType', example: 'credits.low' }) type: EventType;
  @ApiProperty({ description: 'The account that the event is about', example: 'alice' }) accountId: string;
  @ApiProperty({ description: 'The user that the event concerns', example: 'alice' }) userId: string;
  @ApiProperty({ ...TIME, description: 'When the event happened' }) occurredAt: string;
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    [BY_TYPE]: Object.fromEntries(Object.entries(DATA).map(([type, { name }]) => [type, name])),
  } as ApiPropertyOptions)
  data: Record<string, unknown>;
}

export class WebhookTestData {
  @ApiProperty(ID) endpointId: number;
}

/** What a test delivers: in the form of an event, about no account. */
export class WebhookTestEventDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 0, maximum: 0, example: 0 }) id: number;
  @ApiProperty({ enum: [TEST_TYPE], example: TEST_TYPE }) type: string;
  @ApiProperty({ type: 'string', nullable: true, description: 'Always null', example: null }) accountId: null;
  @ApiProperty({ type: 'string', nullable: true, description: 'Always null', example: null }) userId: null;
  @ApiProperty(TIME) occurredAt: string;
  @ApiProperty() data: WebhookTestData;
}

export class EventPageDto {
  @ApiProperty({ type: () => [EventDto] }) items: EventDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}
