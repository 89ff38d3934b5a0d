import { ApiExtraModels, ApiProperty, type ApiPropertyOptions, getSchemaPath } from '@nestjs/swagger';
import { ACCOUNT } from '../../common/http/account.js';
import { isoTime } from '../../common/http/time.js';
import { PRICING_SOURCES } from '../../pricing/price.js';
import type { ChargeAnswer, UsageAnswer } from '../usage.operations.js';
import {
  BILLING_STATUSES,
  type BillingStatus,
  REVIEW_ACTIONS,
  type ReviewAction,
} from '../entities/usage-record.entity.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;
const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
const creditsBy = (example: Record<string, number>) =>
  ({ type: 'object', additionalProperties: { ...CREDITS }, example }) as const;
const TRUNCATED_FIELDS = [
  'totalCredits',
  'needsReviewCredits',
  'byUser',
  'byService',
  'byDay',
  'byModel',
  'byDayAndModel',
  'marginByModel',
  'marginByDay',
] as const;
export type TruncatedField = (typeof TRUNCATED_FIELDS)[number];
const TRUNCATED: ApiPropertyOptions = {
  isArray: true,
  enum: TRUNCATED_FIELDS,
  enumName: 'TruncatedField',
  description:
    'The maps whose entry `other` is the rest: what is beyond the 200 names with the most credits, the newest 366 days, or ' +
    'the 1,000 names of a user and day, added up, and a service or model really called `other`. `byUser`, when other ' +
    'users have credits too. Also the fields with ' +
    'a sum above 9007199254740991: they say that number, which is the least it can be. Empty: all are whole',
  example: [],
};
const BY_DAY_AND_MODEL = {
  type: 'object',
  additionalProperties: { type: 'object', additionalProperties: { ...CREDITS } },
  example: { '2026-11-21': { [MODEL]: 3 } },
  description:
    'byModel by UTC day: the 20 models with the most credits in the range by name, on the days on which they were used, ' +
    'and all the others together as `other` (then also a model of that very name)',
} as const;

export class UsageRecordDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: 1,
    description: 'One more with every correction and every decision of a review, which names it',
  })
  version: number;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty(TIME) timestamp: string;
  @ApiProperty({ example: 'chat-streaming' }) service: string;
  @ApiProperty({ example: MODEL }) operation: string;
  @ApiProperty({
    ...CREDITS,
    description: 'What the call cost; after a review, what of it is billed or open',
    example: 3,
  })
  credits: number;
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    example: { sessionId: 'session-1', tokens: 700 },
  })
  metadata: Record<string, unknown>;
  @ApiProperty({ enum: BILLING_STATUSES, enumName: 'BillingStatus', example: 'billed' })
  billingStatus: BillingStatus;
  @ApiProperty({ ...CREDITS, description: 'The part that the balance did not cover', example: 0 })
  uncollectedCredits: number;
  @ApiProperty({ type: 'string', nullable: true, description: 'USD; null: unknown', example: '0.0021' })
  providerCostUsd: string | null;
  @ApiProperty({
    enum: ['reported', 'computed'],
    enumName: 'ProviderCostSource',
    nullable: true,
    description: 'reported: by the caller; computed: from the pricing rule',
    example: 'reported',
  })
  providerCostSource: 'reported' | 'computed' | null;
  @ApiProperty({ type: 'string', nullable: true, description: 'Of a charge', example: null })
  requestId: string | null;
  @ApiProperty({ ...ID, nullable: true, description: 'The API key it was made with', example: null })
  apiKeyId: number | null;
  @ApiProperty({ type: 'string', nullable: true, example: 'session-1' }) sessionId: string | null;
  @ApiProperty({ ...ID, nullable: true, description: 'The rule it was priced with', example: null })
  pricingRuleId: number | null;
  @ApiProperty({
    enum: PRICING_SOURCES,
    enumName: 'PricingSource',
    nullable: true,
    example: 'default',
  })
  pricingSource: string | null;

  @ApiProperty({
    enum: REVIEW_ACTIONS,
    enumName: 'ReviewAction',
    nullable: true,
    description: 'The last decision of a review',
    example: null,
  })
  reviewAction: ReviewAction | null;
  @ApiProperty({ type: 'string', nullable: true, example: null }) reviewedBy: string | null;
  @ApiProperty({ ...TIME, nullable: true, example: null }) reviewedAt: string | null;

  static from(record: RecordFacts): UsageRecordDto {
    return {
      id: record.id,
      version: record.version,
      accountId: record.accountId,
      userId: record.userId,
      timestamp: isoTime(record.timestamp),
      service: record.service,
      operation: record.operation,
      credits: record.credits,
      metadata: record.metadata,
      billingStatus: record.billingStatus,
      uncollectedCredits: record.uncollectedCredits,
      providerCostUsd: record.providerCostUsd,
      providerCostSource: record.providerCostSource,
      requestId: record.requestId,
      apiKeyId: record.apiKeyId,
      sessionId: record.sessionId,
      pricingRuleId: record.pricingRuleId,
      pricingSource: record.pricingSource,
      reviewAction: record.reviewAction,
      reviewedBy: record.reviewedBy,
      reviewedAt: record.reviewedAt === null ? null : isoTime(record.reviewedAt),
    };
  }
}

/** A record as a SQL function answers it, or as it is read. */
export type RecordFacts = Omit<UsageAnswer, 'timestamp' | 'reviewedAt'> & {
  timestamp: string | Date;
  reviewedAt: string | Date | null;
};

export class ChargeDto {
  @ApiProperty({ type: () => UsageRecordDto }) record: UsageRecordDto;
  @ApiProperty({ ...CREDITS, description: 'Available credits after the charge', example: 994 })
  totalCredits: number;

  static from(answer: ChargeAnswer): ChargeDto {
    return { record: UsageRecordDto.from(answer.record), totalCredits: answer.totalCredits };
  }
}

export class UsagePageDto {
  @ApiProperty({ type: () => [UsageRecordDto] }) items: UsageRecordDto[];
  @ApiProperty({ type: 'string', nullable: true, description: 'null on the last page', example: null })
  nextCursor: string | null;
}

export class UsageSearchPageDto extends UsagePageDto {
  @ApiProperty({
    ...TIME,
    nullable: true,
    description:
      'One request looks through 50,000 records at most. When it has found less than `limit` among them, the time of ' +
      'the last of them: `nextCursor` looks on from there. Else null',
    example: null,
  })
  searchedBackTo: string | null;
}

export class UsageStatsDto {
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ ...CREDITS, example: 1 }) totalRecords: number;
  @ApiProperty({ ...CREDITS, example: 3 }) totalCredits: number;
  @ApiProperty(creditsBy({ 'chat-streaming': 3 })) byService: Record<string, number>;
  @ApiProperty({ ...creditsBy({ '2026-11-21': 3 }), description: 'By UTC day' }) byDay: Record<
    string,
    number
  >;
  @ApiProperty({ ...creditsBy({ [MODEL]: 3 }), description: 'Over the services chat and chat-streaming' })
  byModel: Record<string, number>;
  @ApiProperty(BY_DAY_AND_MODEL) byDayAndModel: Record<string, Record<string, number>>;
  @ApiProperty(TRUNCATED) truncated: TruncatedField[];
  @ApiProperty({
    type: () => [UsageRecordDto],
    description: 'The last 10 records of the range, newest first',
  })
  recentActivity: UsageRecordDto[];
}

const USD = { type: 'string', description: 'USD', example: '0.003' } as const;

export class MarginDto {
  @ApiProperty({ ...CREDITS, description: 'What users paid or owe', example: 3 }) credits: number;
  @ApiProperty({ ...USD, description: 'The same in USD (CREDITS_PER_USD)' }) creditsUsd: string;
  @ApiProperty({
    ...USD,
    nullable: true,
    description: 'Known provider costs; null: none known',
    example: '0.0021',
  })
  providerCostUsd: string | null;
  @ApiProperty({
    ...USD,
    nullable: true,
    description: 'Over the records whose cost is known; null: none is',
    example: '0.0009',
  })
  marginUsd: string | null;
  @ApiProperty({ ...CREDITS, example: 1 }) records: number;
  @ApiProperty({ ...CREDITS, description: 'Records whose provider cost is known', example: 1 })
  costedRecords: number;
}

export class UnpricedModelDto {
  @ApiProperty({ example: 'some/model' }) modelId: string;
  @ApiProperty({ ...CREDITS, example: 2 }) records: number;
}

const MARGIN_MAP = (key: string) =>
  ({
    type: 'object',
    additionalProperties: { $ref: getSchemaPath(MarginDto) },
    example: {
      [key]: {
        credits: 3,
        creditsUsd: '0.003',
        providerCostUsd: '0.0021',
        marginUsd: '0.0009',
        records: 1,
        costedRecords: 1,
      },
    },
  }) as const;

@ApiExtraModels(MarginDto)
export class SystemStatsDto {
  @ApiProperty({ ...CREDITS, example: 1 }) totalRecords: number;
  @ApiProperty({ ...CREDITS, example: 3 }) totalCredits: number;
  @ApiProperty({
    ...creditsBy({ alice: 3 }),
    description:
      'The users with the most credits. In a range with more than 20,000 records: out of a list that is made in the ' +
      'background, at most once an hour, and counts every UTC day that the range touches as a whole',
  })
  byUser: Record<string, number>;
  @ApiProperty({
    ...TIME,
    nullable: true,
    description: 'Up to when byUser has everything. null: its list is being made; ask again in a few seconds',
  })
  byUserAsOf: string | null;
  @ApiProperty(creditsBy({ 'chat-streaming': 3 })) byService: Record<string, number>;
  @ApiProperty({ ...creditsBy({ '2026-11-21': 3 }), description: 'By UTC day' }) byDay: Record<
    string,
    number
  >;
  @ApiProperty({ ...creditsBy({ [MODEL]: 3 }), description: 'Over the services chat and chat-streaming' })
  byModel: Record<string, number>;
  @ApiProperty(BY_DAY_AND_MODEL) byDayAndModel: Record<string, Record<string, number>>;
  @ApiProperty(TRUNCATED) truncated: TruncatedField[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Known provider costs; null: none known',
    example: '0.0021',
  })
  providerCostUsd: string | null;
  @ApiProperty({ ...USD, description: 'totalCredits in USD (CREDITS_PER_USD)' }) creditsUsd: string;
  @ApiProperty({
    ...USD,
    nullable: true,
    description: 'Income less provider cost, over the records whose cost is known; null: none is',
    example: '0.0009',
  })
  marginUsd: string | null;
  @ApiProperty({ ...CREDITS, description: 'Records whose provider cost is known', example: 1 })
  costedRecords: number;
  @ApiProperty({
    ...MARGIN_MAP(MODEL),
    description: 'By operation (of chats: the model)',
  })
  marginByModel: Record<string, MarginDto>;
  @ApiProperty({ ...MARGIN_MAP('2026-11-21'), description: 'By UTC day' })
  marginByDay: Record<string, MarginDto>;
  @ApiProperty({
    ...CREDITS,
    description: 'Records priced with the fallback: no price was set for their model',
    example: 0,
  })
  unpricedRecords: number;
  @ApiProperty({ type: () => [UnpricedModelDto], description: 'Their models, the 100 with the most records' })
  unpricedModels: UnpricedModelDto[];
  @ApiProperty({ ...CREDITS, description: 'Records that wait for a review', example: 0 }) needsReview: number;
  @ApiProperty({ ...CREDITS, description: 'Credits of theirs that were not collected', example: 0 })
  needsReviewCredits: number;
}
