import {
  BILLING_STATUSES,
  type BillingStatus,
  REVIEW_ACTIONS,
  type ReviewAction,
} from '../entities/usage-record.entity.js';
import { ValidationError } from '../../common/errors/service-error.js';
import { GATEWAYS, requestIdPrefix } from '../../common/gateways.js';
import { PageQueryDto } from '../../common/http/page.js';
import {
  ID_LENGTH,
  IdField,
  IntegerField,
  EnumField,
  IntegerQuery,
  DecimalField,
  MODEL_ID_LENGTH,
  TOKENS_BY_CLASS,
  TokensField,
  AccountField,
  Together,
  WholeTokensField,
  MAXIMUM_CREDITS,
  MetadataField,
  TimeField,
  OnBehalfField,
  PayerField,
  TagNameField,
  tagProblem,
  TagsField,
  SESSION_ID_LENGTH,
  UserIdField,
} from '../../common/http/validators.js';
import { CALL_FORMS, DescribedCall } from '../../pricing/dto/described-call.dto.js';

const SERVICE_LENGTH = 50;
/** Its name, `=` and what it says. */
const TAG_LENGTH = 151;
const MAXIMUM_ID = 999_999_999_999_999;
const MAXIMUM_VERSION = 2_147_483_647;
const DAY_MILLISECONDS = 86_400_000;
/** How far a sender's clock may be ahead. */
const FUTURE_TOLERANCE_MILLISECONDS = DAY_MILLISECONDS;

export class RecordUsageDto {
  @IdField(SERVICE_LENGTH, { description: 'The service that was used', example: 'embeddings' })
  service: string;

  @IdField(ID_LENGTH, {
    description: 'The operation; for chats, the model',
    example: 'text-embedding-3-small',
  })
  operation: string;

  @IntegerField(0, MAXIMUM_CREDITS, { description: 'Credits that were settled elsewhere', example: 12 })
  credits: number;

  @MetadataField({
    description: 'Any JSON object with at most 16 kB and 256 values',
    example: { documents: 3 },
    required: false,
  })
  metadata?: Record<string, unknown>;

  @TimeField({
    description:
      'When the usage happened; defaults to now. It must not be more than 1 day in the future, or more ' +
      'than 35 days in the past. Trusted services may go back to 1970',
    example: '2026-11-21T12:00:00Z',
    required: false,
    problem: (time) =>
      Date.parse(time) <= Date.now() + FUTURE_TOLERANCE_MILLISECONDS
        ? undefined
        : 'must not be more than 1 day in the future',
  })
  timestamp?: string;

  @TagsField()
  tags?: Record<string, string>;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
const REQUEST_ID_LENGTH = 200;
const RESERVED_PREFIXES = GATEWAYS.map(requestIdPrefix);

const COUNTS = ['tokens', 'inputTokens', 'outputTokens', 'cachedInputTokens'] as const;

export class ChargeUsageDto extends DescribedCall(COUNTS) {
  @IdField(REQUEST_ID_LENGTH, {
    description: `The caller’s id for the call, unique per user. It must not begin with \`${RESERVED_PREFIXES.join('` or `')}\``,
    example: 'call-1',
  })
  @Together('reservedRequestId', ({ requestId }: ChargeUsageDto) => {
    const reserved = RESERVED_PREFIXES.find((prefix) => String(requestId).startsWith(prefix));
    return reserved === undefined ? undefined : `must not begin with ${reserved}`;
  })
  requestId: string;

  @IdField(MODEL_ID_LENGTH, { description: 'The model', example: MODEL })
  modelId: string;

  @WholeTokensField(
    { description: 'Total tokens of the call, charged at the blended price', example: 1000 },
    TOKENS_BY_CLASS,
    ...CALL_FORMS,
    { required: ['credits'] },
  )
  tokens?: number;

  @IntegerField(0, MAXIMUM_CREDITS, {
    description: 'A cost that was calculated elsewhere, instead of tokens; only from trusted services',
    required: false,
  })
  @Together('creditsAlone', (request: ChargeUsageDto) =>
    ([...COUNTS, 'quantities', 'usage', 'images', 'seconds', 'searchContextSize'] as const).every(
      (field) => request[field] === undefined,
    )
      ? undefined
      : 'cannot be given together with tokens or token classes',
  )
  credits?: number;

  @TokensField({ description: 'Input tokens, excluding cached ones', required: false })
  inputTokens?: number;

  @TokensField({ description: 'Output tokens', required: false })
  outputTokens?: number;

  @TokensField({ description: 'Input tokens read from the provider’s cache', required: false })
  cachedInputTokens?: number;

  @IdField(SERVICE_LENGTH, {
    description: 'The service that was used',
    example: 'chat',
    required: false,
    default: 'chat',
  })
  service: string = 'chat';

  @MetadataField({ description: 'Any JSON object with at most 16 kB and 256 values', required: false })
  metadata?: Record<string, unknown>;

  @DecimalField({
    description:
      'What the provider charged, in USD. If omitted or null, it is computed from the pricing rule where ' +
      'possible',
    example: '0.0021',
    required: false,
    integerDigits: 7,
    maximum: '1000000',
  })
  providerCostUsd?: string;

  @EnumField('ChargeBilling', ['billed', 'needs_review'], {
    description: '`billed`: debit the call; `needs_review`: record it for review without debiting',
    example: 'billed',
    required: false,
    default: 'billed',
  })
  billingStatus: 'billed' | 'needs_review' = 'billed';

  @EnumField('OnInsufficient', ['reject', 'review'], {
    description:
      'If the credits do not cover the call, `reject` refuses it (402), and `review` records it for ' +
      'review without debiting',
    example: 'reject',
    required: false,
    default: 'reject',
  })
  onInsufficient: 'reject' | 'review' = 'reject';

  @TagsField()
  tags?: Record<string, string>;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

export class ReviewUsageDto {
  @EnumField('ReviewAction', REVIEW_ACTIONS, {
    description: '`bill`: take the uncollected credits; `waive`: do not collect them',
    example: 'bill',
  })
  action: ReviewAction;

  @IntegerField(1, MAXIMUM_VERSION, {
    description:
      'The version of the record that the decision applies to; 409 if the record has changed since',
    example: 1,
  })
  version: number;

  @IntegerField(0, MAXIMUM_CREDITS, {
    description: 'Credits to take instead of the uncollected ones; only with `bill`',
    required: false,
  })
  @Together('reviewCredits', ({ action, credits }: ReviewUsageDto) =>
    action === 'waive' && credits !== undefined ? 'cannot be given when waiving' : undefined,
  )
  credits?: number;
}

const START = {
  description: 'Start of the range, inclusive: a UTC date or a time',
  example: '2026-11-01',
  required: false,
} as const;
const END = {
  description: 'End of the range, inclusive: a UTC date, of which the whole day counts, or a time',
  example: '2026-11-30',
  required: false,
} as const;
/** A range of time with both ends included; a missing end is open. */
export class RangeQueryDto {
  @TimeField({ ...START, allowDate: true, inQuery: true })
  startDate?: string;

  @TimeField({ ...END, allowDate: true, inQuery: true })
  endDate?: string;
}

export class OwnRangeQueryDto extends RangeQueryDto {
  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

const BREAKDOWNS = ['apiKey', 'tag'] as const;

export class BreakdownQueryDto extends OwnRangeQueryDto {
  @EnumField('BreakdownBy', BREAKDOWNS, {
    description: 'By the API key that calls were made with, or by what a tag of theirs says',
    example: 'tag',
    required: false,
    default: 'apiKey',
  })
  by: (typeof BREAKDOWNS)[number] = 'apiKey';

  @TagNameField({
    description: 'The name of the tag; only with `by=tag`',
    example: 'feature',
    required: false,
    isNeeded: ({ by }: BreakdownQueryDto) => by === 'tag',
  })
  @Together('tagNameOfTag', ({ by }: BreakdownQueryDto) =>
    by === 'tag' ? undefined : 'is only allowed with by=tag',
  )
  tagName?: string;
}

export class SystemStatsQueryDto extends RangeQueryDto {
  @IntegerQuery(0, 1000, {
    description:
      'Maximum number of users in `byUser`. With 0, `byUser` is empty, which makes the report faster if ' +
      'there are many users',
    example: 100,
    default: 100,
  })
  top: number = 100;
}

export class RecordsQueryDto extends PageQueryDto {
  @TimeField({ ...START, allowDate: true, inQuery: true })
  startDate?: string;

  @TimeField({ ...END, allowDate: true, inQuery: true })
  endDate?: string;

  @IdField(SERVICE_LENGTH, {
    description: 'Only records of this service',
    example: 'chat-streaming',
    required: false,
  })
  service?: string;

  @IdField(ID_LENGTH, {
    description: 'Only records of this operation',
    example: 'anthropic.claude-instant-v1',
    required: false,
  })
  operation?: string;

  @UserIdField({
    description: 'Only records of what this member of the organisation spent',
    required: false,
    example: undefined,
  })
  memberId?: string;

  @IntegerQuery(1, MAXIMUM_ID, {
    description: 'Only records of this unit of the organisation, without the units below it',
  })
  unitId?: number;

  @IntegerQuery(1, MAXIMUM_ID, { description: 'Only records of calls made with this API key' })
  apiKeyId?: number;

  @IdField(TAG_LENGTH, {
    description: 'Only records with this tag',
    example: 'feature=search',
    required: false,
  })
  @Together('tag', ({ tag }: RecordsQueryDto) => (tag === undefined ? undefined : tagProblem(tag)))
  tag?: string;
}

export class OwnRecordsQueryDto extends RecordsQueryDto {
  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

/** Of the list over all users. */
export class AllRecordsQueryDto extends RecordsQueryDto {
  @AccountField({
    description: 'Only records that this account pays: a user, or an organisation',
    required: false,
  })
  userId?: string;

  @EnumField('BillingStatus', BILLING_STATUSES, {
    description: 'Only records with this status',
    example: 'needs_review',
    required: false,
  })
  billingStatus?: BillingStatus;

  @IdField(SESSION_ID_LENGTH, { description: 'Only records of this session', required: false })
  sessionId?: string;

  @IdField(REQUEST_ID_LENGTH, { description: 'Only records with this `requestId`', required: false })
  requestId?: string;
}

/** A half-open range of instants in ISO 8601; null is open. */
export interface TimeRange {
  from: string | null;
  to: string | null;
}

/** From the year 10000 on, ISO 8601 is written in another way, which PostgreSQL does not read. */
const YEAR_10000 = Date.UTC(10_000, 0);

/**
 * Both ends of a query included: a day means all of it, an instant its whole millisecond.
 *
 * @throws ValidationError when the end lies before the start
 */
export function timeRange({ startDate, endDate }: { startDate?: string; endDate?: string }): TimeRange {
  const from = startDate === undefined ? -Infinity : Date.parse(startDate);
  const to = endDate === undefined ? Infinity : Date.parse(endDate) + lengthOf(endDate);
  // Even the shortest range has a length: one of none ends right before it starts.
  if (from >= to) throw new ValidationError([{ field: 'endDate', message: 'must not be before startDate' }]);
  return {
    from: startDate === undefined ? null : new Date(from).toISOString(),
    // No record lies beyond the year 9999, so an end there is as good as none.
    to: to >= YEAR_10000 ? null : new Date(to).toISOString(),
  };
}

function lengthOf(time: string): number {
  return time.length === 'YYYY-MM-DD'.length ? DAY_MILLISECONDS : 1;
}

/**
 * The same time in UTC, with the microseconds that PostgreSQL keeps: it reads no offsets beyond 16 hours, and rounds
 * what is finer, perhaps into the next day.
 */
export function utcTime(time: string): string {
  const fraction = /\.(\d{1,6})/.exec(time)?.[1] ?? '';
  return new Date(time).toISOString().replace(/\d{3}Z$/, `${fraction.padEnd(6, '0')}Z`);
}
