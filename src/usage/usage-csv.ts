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

export function csvLine(values: (string | number | null)[]): string {
  return `${values.map(csvField).join(',')}\r\n`;
}

/**
 * Where a spreadsheet would begin a formula: at the start of a field, and after a semicolon or a line break, which begin
 * one where the spreadsheet's list separator is the semicolon; quotes may stand between. The wide forms count as the plain
 * ones do.
 */
const FORMULA = /(?<=(?:^|[;\r\n])"*)(?=[=+\-@\t\r＝＋－＠])/g;

/** Texts that a spreadsheet would take for a formula get an apostrophe, so that opening the file runs nothing. */
function csvField(value: string | number | null): string {
  if (value === null) return '';
  if (typeof value === 'number') return String(value);
  const text = value.replace(FORMULA, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
