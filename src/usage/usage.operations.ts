import type { Originated } from '../common/database/activity.js';
import { type AccountRequest, type Ok, operation, type Refused } from '../common/database/database.js';
import type { Idempotency } from '../common/http/idempotency.js';
import type { Shortage } from '../credits/credits.operations.js';
import type { Call, UsageSource } from '../pricing/call.js';
import type { PricingSource } from '../pricing/price.js';
import type { PriceClass, Quantities, ServiceTier } from '../pricing/price-classes.js';

/** The operations of this module, in `sql/operations`. */

export type ReviewAction = 'bill' | 'waive';

/** A usage record; `usage_json` in SQL. Times are ISO 8601 texts. */
export interface UsageAnswer {
  id: number;
  version: number;
  accountId: string;
  userId: string;
  timestamp: string;
  service: string;
  operation: string;
  credits: number;
  metadata: Record<string, unknown>;
  billingStatus: 'recorded' | 'billed' | 'needs_review' | 'waived';
  uncollectedCredits: number;
  providerCostUsd: string | null;
  providerCostSource: 'reported' | 'computed' | null;
  requestId: string | null;
  apiKeyId: number | null;
  unitId: number | null;
  tags: Record<string, string> | null;
  sessionId: string | null;
  pricingRuleId: number | null;
  pricingSource: PricingSource | null;
  pricedAs: string | null;
  quantities: Quantities | null;
  usageSource: UsageSource | null;
  serviceTier: ServiceTier | null;
  pricingNotes: PriceClass[] | null;
  reviewAction: ReviewAction | null;
  reviewedBy: string | null;
  reviewedAt: string | null;
  replayed?: boolean;
}

interface UsageRequest extends AccountRequest, Idempotency {
  userId: string;
  timestamp: string | null;
  service: string;
  metadata: Record<string, unknown>;
  tags?: Record<string, string> | undefined;
  apiKeyId: number | null;
}

/** Keeps a usage event that was settled elsewhere. Moves nothing. */
export const RECORD = operation<
  UsageRequest & { recordedOperation: string; credits: number },
  Ok<UsageAnswer> | Refused<'user_not_found' | 'idempotency_mismatch' | 'day_limit'>
>('usage_record');

export interface ChargeAnswer {
  record: UsageAnswer;
  totalCredits: number;
  /** By more than 1 %: the cost that was reported, and that of the pricing rule. */
  costDiffers: boolean;
  replayed?: boolean;
}

interface ChargeRequest extends UsageRequest, Call {
  requestId: string;
  /** SHA-256 of the content, in hexadecimal: the same request id with other content is refused. */
  contentHash: string;
  modelId: string;
  /** A price calculated elsewhere, in place of tokens. */
  credits?: number;
  providerCostUsd: string | null;
  billingStatus: 'billed' | 'needs_review';
  onInsufficient: 'reject' | 'review';
  rejectUnpriced: boolean;
  actor: string;
}
type Charged =
  | Ok<ChargeAnswer>
  | Shortage
  | Refused<'user_not_found' | 'request_mismatch' | 'idempotency_mismatch' | 'unpriced'>;

/** Prices, debits and records one finished call, idempotent by its request id. */
export const CHARGE = operation<ChargeRequest, Charged>('usage_charge');

/** The same of a call whose payer a gateway's settings have named: refused when they have changed since that version. */
export const GATEWAY_CHARGE = operation<
  ChargeRequest & { gateway?: string; payerVersion?: number },
  Charged | Refused<'payer_changed'>
>('usage_charge');

/** Decides on what a record has open, in the version given; `credits` instead of what could not be collected. */
export const REVIEW = operation<
  AccountRequest &
    Originated &
    Idempotency & {
      usageId: number;
      version: number;
      action: ReviewAction;
      credits: number | null;
      actor: string;
    },
  | Ok<UsageAnswer>
  | Shortage
  | Refused<'usage_not_found' | 'not_in_review' | 'already_reviewed' | 'changed' | 'idempotency_mismatch'>
>('usage_review');
