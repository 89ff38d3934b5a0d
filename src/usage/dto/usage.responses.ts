import { ApiExtraModels, ApiProperty, type ApiPropertyOptions, getSchemaPath } from '@nestjs/swagger';
import { ACCOUNT } from '../../common/http/account.js';
import { isoTime } from '../../common/http/time.js';
import { LEDGER_KINDS, type LedgerKind } from '../../credits/entities/ledger-entry.entity.js';
import { USAGE_SOURCES, type UsageSource } from '../../pricing/call.js';
import { PRICING_SOURCES } from '../../pricing/price.js';
import { ClassAmountDto } from '../../pricing/dto/call.responses.js';
import {
  CLASS_NAMES,
  type PriceClass,
  type Quantities,
  SERVICE_TIERS,
  type ServiceTier,
} from '../../pricing/price-classes.js';
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
  'collectedCredits',
  'uncollectedCredits',
  'recordedCredits',
  'needsReviewCredits',
  'byUser',
  'byUnit',
  'byService',
  'byDay',
  'byModel',
  'byDayAndModel',
  'marginByModel',
  'marginByOperation',
  'marginByDay',
] as const;
export type TruncatedField = (typeof TRUNCATED_FIELDS)[number];
const TRUNCATED: ApiPropertyOptions = {
  isArray: true,
  enum: TRUNCATED_FIELDS,
  enumName: 'TruncatedField',
  description:
    'Names the fields that are not complete; empty if all are complete.\n\n- A map is named when its ' +
    'entry `other` adds up the entries that do not fit: names beyond the 200 with the most credits, ' +
    'days beyond the newest 366, and names beyond the first 1,000 that a user has in one day. A ' +
    'service, model or user that is really named `other` is included in that entry.\n- `byUser` of the whole system is named ' +
    'when further users have credits.\n- A field is named when it contains a sum above ' +
    '9007199254740991. The response shows that number instead of the sum.',
  example: [],
};
const BY_MODEL =
  'Credits of chats by model, whatever their outcome: the services `chat`, `chat-streaming` and `chat-streaming-failed`, ' +
  '`-aborted` and `-timeout`';
const BY_DAY_AND_MODEL = {
  type: 'object',
  additionalProperties: { type: 'object', additionalProperties: { ...CREDITS } },
  example: { '2026-11-21': { [MODEL]: 3 } },
  description:
    'Credits of chats for each UTC day and model, also of chats that failed, were aborted or timed out (the services ' +
    '`chat`, `chat-streaming` and `chat-streaming-failed`, `-aborted` and `-timeout`). The 20 models with the most credits in the range are listed by name, ' +
    'on the days on which they were used. All other models are added up as `other`, which then also ' +
    'includes a model that is really named `other`',
} as const;

export class UsageRecordDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 1,
    example: 1,
    description:
      'Version of the record, which a review must name. It increases by 1 with each correction and each ' +
      'review',
  })
  version: number;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty(TIME) timestamp: string;
  @ApiProperty({ example: 'chat-streaming' }) service: string;
  @ApiProperty({ example: MODEL }) operation: string;
  @ApiProperty({
    ...CREDITS,
    description:
      'Cost of the call, waived credits included; if a review billed another amount, what was billed in all',
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
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'What the call cost at the provider, in USD; null if unknown',
    example: '0.0021',
  })
  providerCostUsd: string | null;
  @ApiProperty({
    enum: ['reported', 'computed'],
    enumName: 'ProviderCostSource',
    nullable: true,
    description: '`reported`: reported by the caller; `computed`: computed from the pricing rule',
    example: 'reported',
  })
  providerCostSource: 'reported' | 'computed' | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The `requestId` of the charge; null if the record is not from a charge',
    example: null,
  })
  requestId: string | null;
  @ApiProperty({
    ...ID,
    nullable: true,
    description: 'Id of the API key that the call was made with',
    example: null,
  })
  apiKeyId: number | null;
  @ApiProperty({
    ...ID,
    nullable: true,
    description: 'The unit of the organisation that the user belonged to',
    example: null,
  })
  unitId: number | null;
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    nullable: true,
    description: 'What the call was for',
    example: { feature: 'search' },
  })
  tags: Record<string, string> | null;
  @ApiProperty({ type: 'string', nullable: true, example: 'session-1' }) sessionId: string | null;
  @ApiProperty({
    ...ID,
    nullable: true,
    description: 'Id of the pricing rule that set the price',
    example: null,
  })
  pricingRuleId: number | null;
  @ApiProperty({
    enum: PRICING_SOURCES,
    enumName: 'PricingSource',
    nullable: true,
    example: 'default',
  })
  pricingSource: string | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The model of the rule, or the pattern of models; null if the call was not priced here',
    example: 'anthropic.claude-3-sonnet-20240229-v1:0',
  })
  pricedAs: string | null;
  @ApiProperty({
    type: 'object',
    nullable: true,
    additionalProperties: { type: 'integer', format: 'int64', minimum: 0 },
    description: 'What the call used, by class; null if it was not priced here',
    example: { input: 1000, output: 200 },
  })
  quantities: Quantities | null;
  @ApiProperty({
    enum: USAGE_SOURCES,
    enumName: 'UsageSource',
    nullable: true,
    description:
      'Where the quantities come from: the provider, `drained` from it after the client had left, or an estimate; null if ' +
      'the caller did not say',
    example: 'provider',
  })
  usageSource: UsageSource | null;
  @ApiProperty({ enum: SERVICE_TIERS, enumName: 'ServiceTier', nullable: true, example: 'standard' })
  serviceTier: ServiceTier | null;
  @ApiProperty({
    enum: CLASS_NAMES,
    enumName: 'PriceClass',
    isArray: true,
    description: 'Classes that the rule has no price for: they took the price of another class, or were free',
    example: [],
  })
  pricingNotes: PriceClass[];

  @ApiProperty({
    enum: REVIEW_ACTIONS,
    enumName: 'ReviewAction',
    nullable: true,
    description: 'The last review decision',
    example: 'bill',
  })
  reviewAction: ReviewAction | null;
  @ApiProperty({ type: 'string', nullable: true, example: 'root' }) reviewedBy: string | null;
  @ApiProperty({ ...TIME, nullable: true }) reviewedAt: string | null;

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
      unitId: record.unitId,
      tags: record.tags,
      sessionId: record.sessionId,
      pricingRuleId: record.pricingRuleId,
      pricingSource: record.pricingSource,
      pricedAs: record.pricedAs ?? (record.pricingRuleId === null ? null : record.operation),
      quantities: record.quantities,
      usageSource: record.usageSource,
      serviceTier: record.serviceTier,
      pricingNotes: record.pricingNotes ?? [],
      reviewAction: record.reviewAction,
      reviewedBy: record.reviewedBy,
      reviewedAt: record.reviewedAt === null ? null : isoTime(record.reviewedAt),
    };
  }
}

/** One change of a lot for a call. */
export class RecordEntryDto {
  @ApiProperty({ enum: LEDGER_KINDS, enumName: 'LedgerKind', example: 'hold' }) kind: LedgerKind;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    description: 'Added to the lot, or (negative) taken from it',
    example: -4,
  })
  credits: number;
  @ApiProperty({ ...ID, nullable: true, description: 'Id of the lot' }) allocationId: number | null;
  @ApiProperty({ description: 'Who made the change: a user id or `service:…`', example: 'alice' })
  actor: string;
  @ApiProperty(TIME) createdAt: string;
}

/** A budget that a call counted in, and the period. */
export class RecordBudgetDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ description: 'What it limits, as in the list of budgets', example: 'unit' }) scope: string;
  @ApiProperty({ type: 'string', nullable: true, example: '3' }) scopeId: string | null;
  @ApiProperty({ description: 'What it counts, as in the list of budgets', example: 'credits' }) unit: string;
  @ApiProperty({ enum: ['hard', 'soft'], enumName: 'BudgetMode', example: 'hard' }) mode: 'hard' | 'soft';
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    nullable: true,
    description: 'The limit for one period, as it is now; null: it only counts',
    example: 1000,
  })
  amount: number | null;
  @ApiProperty({ type: 'string', nullable: true, description: 'How long a period lasts', example: 'month' })
  window: string | null;
  @ApiProperty({ ...TIME, nullable: true, description: 'Begin of the period; null: it has none' })
  startsAt: string | null;
  @ApiProperty({ ...TIME, nullable: true, description: 'End of the period; null: it has none' })
  endsAt: string | null;
}

/** The streaming session that a record ends. */
export class RecordSessionDto {
  @ApiProperty(TIME) startedAt: string;
  @ApiProperty({ ...CREDITS, description: 'What the call was expected to cost', example: 3 })
  estimatedCredits: number;
  @ApiProperty({ ...CREDITS, description: 'The hold that it began with', example: 4 }) firstHold: number;
  @ApiProperty({ ...CREDITS, description: 'The hold when it ended, with all growth', example: 4 })
  heldCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Tokens reported while it ran', example: 500 })
  tokensGenerated: number;
  @ApiProperty({
    enum: ['finalized', 'aborted', 'timeout'],
    enumName: 'SessionEndReason',
    nullable: true,
    example: 'finalized',
  })
  endReason: 'finalized' | 'aborted' | 'timeout' | null;
  @ApiProperty({ description: 'Whether it ended after its lease, or corrected its time-out', example: false })
  isLate: boolean;
  @ApiProperty({ ...TIME, nullable: true }) completedAt: string | null;
}

export class UsageRecordDetailsDto extends UsageRecordDto {
  @ApiProperty({
    type: () => [RecordEntryDto],
    description:
      'What holds, settlement and reviews took from lots and gave back to them, oldest first: the newest 200',
  })
  entries: RecordEntryDto[];
  @ApiProperty({
    description:
      'False if there are more entries, or if the account has had more than 20,000 since the call began: those only were searched',
    example: true,
  })
  hasAllEntries: boolean;
  @ApiProperty({ type: () => [RecordBudgetDto], description: 'The budgets that the call counted in' })
  budgets: RecordBudgetDto[];
  @ApiProperty({
    type: () => RecordSessionDto,
    nullable: true,
    description: 'Null for a call without a session',
  })
  session: RecordSessionDto | null;

  @ApiProperty({
    type: () => [ClassAmountDto],
    nullable: true,
    description: 'What each class cost, before the rounding; null if the call was not priced here',
  })
  classes: ClassAmountDto[] | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description:
      'The exact sum of the classes, of which the price is the next whole number; null if the call was not priced here',
    example: '2.1',
  })
  exactCredits: string | null;
}

export class ClassUsageDto {
  @ApiProperty({ enum: CLASS_NAMES, enumName: 'PriceClass', example: 'input' }) class: PriceClass;
  @ApiProperty({ ...CREDITS, description: 'Units used', example: 12000 }) quantity: number;
  @ApiProperty({ type: 'string', description: 'Credits for them, exact', example: '2.16' }) credits: string;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description:
      'What the provider charges for them, in USD, exact; null if it is unknown for one of the calls',
    example: '0.0018',
  })
  providerCostUsd: string | null;
  @ApiProperty({ ...CREDITS, description: 'Number of records that used the class', example: 1 })
  records: number;
  @ApiProperty({
    ...CREDITS,
    description:
      'Of these, how many had no price for the class: another class’s price applied, or it was free',
    example: 0,
  })
  fallbackRecords: number;
}

export class UsageClassesDto {
  @ApiProperty({ type: () => [ClassUsageDto], description: 'The class that cost the most first' })
  classes: ClassUsageDto[];
  @ApiProperty({
    ...TIME,
    nullable: true,
    description:
      'Set if the range has too many records or prices to count them all: the time of the oldest that counts',
    example: null,
  })
  since: string | null;
}

export class UsageGroupDto {
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The id of the API key, or what the tag says; null for records without one',
    example: 'search',
  })
  name: string | null;
  @ApiProperty({ ...CREDITS, example: 120 }) records: number;
  @ApiProperty({ ...CREDITS, description: '9007199254740991 stands for any larger sum', example: 360 })
  credits: number;
}

export class UsageBreakdownDto {
  @ApiProperty({
    type: () => [UsageGroupDto],
    description: 'The 200 groups with the most credits, the largest first',
  })
  groups: UsageGroupDto[];
  @ApiProperty({
    type: () => UsageGroupDto,
    nullable: true,
    description: 'All further groups, added up; null if there are none',
  })
  other: UsageGroupDto | null;
  @ApiProperty({
    ...TIME,
    nullable: true,
    description:
      'Set if the range has too many records to count them all: the time of the oldest that counts',
    example: null,
  })
  since: string | null;
}

/** A record as a SQL function answers it, or as it is read. */
export type RecordFacts = Omit<UsageAnswer, 'timestamp' | 'reviewedAt'> & {
  timestamp: string | Date;
  reviewedAt: string | Date | null;
};

export class ChargeDto {
  @ApiProperty({ type: () => UsageRecordDto }) record: UsageRecordDto;
  @ApiProperty({
    ...CREDITS,
    description:
      'Credits left after the charge: the balance; in an organisation no more than fits the budgets of the call',
    example: 994,
  })
  totalCredits: number;

  static from(answer: ChargeAnswer): ChargeDto {
    return { record: UsageRecordDto.from(answer.record), totalCredits: answer.totalCredits };
  }
}

export class UsagePageDto {
  @ApiProperty({ type: () => [UsageRecordDto] }) items: UsageRecordDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}

export class UsageSearchPageDto extends UsagePageDto {
  @ApiProperty({
    ...TIME,
    nullable: true,
    description:
      'Set if the request reached its limit of 50,000 searched records before it found `limit` matches: ' +
      'the time of the last record searched. `nextCursor` continues from there. Otherwise null',
    example: null,
  })
  searchedBackTo: string | null;
}

/** How the credits of calls are made up: the three parts add up to all of them. */
class CreditParts {
  @ApiProperty({ ...CREDITS, description: 'The part that was taken from balances: the income', example: 3 })
  collectedCredits: number;
  @ApiProperty({
    ...CREDITS,
    description: 'The part that no balance covered: it waits for a review or was waived',
    example: 0,
  })
  uncollectedCredits: number;
  @ApiProperty({
    ...CREDITS,
    description: 'The part that was settled elsewhere (`recorded`): counted, never taken',
    example: 0,
  })
  recordedCredits: number;
}

/** What is added up of an account and of the system alike. */
class Waiting extends CreditParts {
  @ApiProperty({ ...CREDITS, description: 'Number of records that await review', example: 0 })
  needsReview: number;
  @ApiProperty({
    ...CREDITS,
    description: 'Uncollected credits of the records that await review',
    example: 0,
  })
  needsReviewCredits: number;
}

export class UsageStatsDto extends Waiting {
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ ...CREDITS, example: 1 }) totalRecords: number;
  @ApiProperty({
    ...CREDITS,
    description: 'What the calls cost: the sum of collected, uncollected and recorded credits',
    example: 3,
  })
  totalCredits: number;
  @ApiProperty(creditsBy({ 'chat-streaming': 3 })) byService: Record<string, number>;
  @ApiProperty({ ...creditsBy({ '2026-11-21': 3 }), description: 'Credits by UTC day' }) byDay: Record<
    string,
    number
  >;
  @ApiProperty({
    ...creditsBy({ [MODEL]: 3 }),
    description: BY_MODEL,
  })
  byModel: Record<string, number>;
  @ApiProperty(BY_DAY_AND_MODEL) byDayAndModel: Record<string, Record<string, number>>;
  @ApiProperty({ ...creditsBy({ alice: 3 }), description: 'Credits by user who spent them' })
  byUser: Record<string, number>;
  @ApiProperty({
    ...creditsBy({ 3: 3 }),
    description:
      'Credits by id of the organisation’s unit that the user belonged to, without the units below it. What was spent ' +
      'outside units is not listed',
  })
  byUnit: Record<string, number>;
  @ApiProperty(TRUNCATED) truncated: TruncatedField[];
  @ApiProperty({
    type: () => [UsageRecordDto],
    description: 'The 10 most recent records of the range, newest first',
  })
  recentActivity: UsageRecordDto[];
}

const USD = { type: 'string', description: 'USD', example: '0.003' } as const;

/** Income and provider cost. What is compared covers the same records: those whose provider cost is known. */
class Earnings extends CreditParts {
  @ApiProperty({ ...USD, description: 'What the calls cost in USD, converted with CREDITS_PER_USD' })
  creditsUsd: string;
  @ApiProperty({ ...USD, description: '`collectedCredits` in USD' })
  incomeUsd: string;
  @ApiProperty({
    ...USD,
    nullable: true,
    description: 'The part of `incomeUsd` from records whose provider cost is known; null if there are none',
  })
  costedIncomeUsd: string | null;
  @ApiProperty({
    ...USD,
    nullable: true,
    description: 'Sum of the known provider costs; null if none is known',
    example: '0.0021',
  })
  providerCostUsd: string | null;
  @ApiProperty({
    ...USD,
    nullable: true,
    description: '`costedIncomeUsd` minus `providerCostUsd`; null if no provider cost is known',
    example: '0.0009',
  })
  marginUsd: string | null;
  @ApiProperty({ ...CREDITS, description: 'Number of records whose provider cost is known', example: 1 })
  costedRecords: number;
}

export class MarginDto extends Earnings {
  @ApiProperty({
    ...CREDITS,
    description: 'What the calls cost: the sum of collected, uncollected and recorded credits',
    example: 3,
  })
  credits: number;
  @ApiProperty({ ...CREDITS, example: 1 }) records: number;
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
        collectedCredits: 3,
        uncollectedCredits: 0,
        recordedCredits: 0,
        incomeUsd: '0.003',
        costedIncomeUsd: '0.003',
        providerCostUsd: '0.0021',
        marginUsd: '0.0009',
        records: 1,
        costedRecords: 1,
      },
    },
  }) as const;

@ApiExtraModels(MarginDto)
export class SystemStatsDto extends Earnings {
  @ApiProperty({ ...CREDITS, description: 'Number of records that await review', example: 0 })
  needsReview: number;
  @ApiProperty({
    ...CREDITS,
    description: 'Uncollected credits of the records that await review',
    example: 0,
  })
  needsReviewCredits: number;
  @ApiProperty({ ...CREDITS, example: 1 }) totalRecords: number;
  @ApiProperty({ ...CREDITS, example: 3 }) totalCredits: number;
  @ApiProperty({
    ...creditsBy({ alice: 3 }),
    description:
      'Credits of the users with the most credits. If the range has more than 20,000 records, the ' +
      'figures come from a list that is built in the background, at most once an hour, and that counts ' +
      'every UTC day in the range in full',
  })
  byUser: Record<string, number>;
  @ApiProperty({
    ...TIME,
    nullable: true,
    description:
      'The time up to which `byUser` is complete; null while its list is being built. In that case, ask ' +
      'again in a few seconds',
  })
  byUserAsOf: string | null;
  @ApiProperty(creditsBy({ 'chat-streaming': 3 })) byService: Record<string, number>;
  @ApiProperty({ ...creditsBy({ '2026-11-21': 3 }), description: 'Credits by UTC day' }) byDay: Record<
    string,
    number
  >;
  @ApiProperty({
    ...creditsBy({ [MODEL]: 3 }),
    description: BY_MODEL,
  })
  byModel: Record<string, number>;
  @ApiProperty(BY_DAY_AND_MODEL) byDayAndModel: Record<string, Record<string, number>>;
  @ApiProperty(TRUNCATED) truncated: TruncatedField[];
  @ApiProperty({ ...MARGIN_MAP(MODEL), description: 'Chats by model, whatever their outcome' })
  marginByModel: Record<string, MarginDto>;
  @ApiProperty({
    ...MARGIN_MAP('text-embedding-3-small'),
    description: 'Calls of other services by operation',
  })
  marginByOperation: Record<string, MarginDto>;
  @ApiProperty({ ...MARGIN_MAP('2026-11-21'), description: 'All calls by UTC day' })
  marginByDay: Record<string, MarginDto>;
  @ApiProperty({
    ...CREDITS,
    description: 'Number of records charged at the fallback price, because no price was set for their model',
    example: 0,
  })
  unpricedRecords: number;
  @ApiProperty({
    type: () => [UnpricedModelDto],
    description: 'The models of the records in `unpricedRecords`, at most the 100 with the most records',
  })
  unpricedModels: UnpricedModelDto[];
}
