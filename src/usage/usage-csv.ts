import { csvLine } from '../common/csv.js';
import { isoTime } from '../common/http/time.js';
import type { RecordFacts } from './dto/usage.responses.js';

export const USAGE_CSV_HEADER = [
  'id',
  'userId',
  'timestamp',
  'service',
  'operation',
  'credits',
  'billingStatus',
  'uncollectedCredits',
  'providerCostUsd',
  'sessionId',
  'pricingRuleId',
  'pricingSource',
  'metadata',
  'providerCostSource',
  'requestId',
  'apiKeyId',
  'reviewAction',
  'accountId',
  'unitId',
  'tags',
];

/** One record as a line of CSV (RFC 4180). */
export function usageCsvLine(record: RecordFacts): string {
  return csvLine([
    record.id,
    record.userId,
    isoTime(record.timestamp),
    record.service,
    record.operation,
    record.credits,
    record.billingStatus,
    record.uncollectedCredits,
    record.providerCostUsd,
    record.sessionId,
    record.pricingRuleId,
    record.pricingSource,
    JSON.stringify(record.metadata),
    record.providerCostSource,
    record.requestId,
    record.apiKeyId,
    record.reviewAction,
    record.accountId,
    record.unitId,
    record.tags === null ? null : JSON.stringify(record.tags),
  ]);
}
