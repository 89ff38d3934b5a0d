import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { AUDIT_CHECKS } from './credits-audit.checks.js';
import type { AuditDifferenceDto, AuditDto } from './dto/credits.responses.js';

const USERS_PER_BATCH = 200;
const MAXIMUM_DIFFERENCES = 1000;

/** Every check over one batch of users, in one statement and so in one snapshot. */
const AUDIT_BATCH = {
  name: 'credit_audit_batch',
  isPlannedAnew: true,
  text: `
WITH users AS (
  SELECT account_id, available, held FROM credit_balances WHERE account_id > $1 AND ($3::varchar IS NULL OR account_id = $3)
   ORDER BY account_id LIMIT ${USERS_PER_BATCH}
), differences AS (
  ${AUDIT_CHECKS.map(
    ({ query }, index) =>
      `SELECT ${index} AS check_index, d.* FROM (${query}) d WHERE d.expected IS DISTINCT FROM d.actual`,
  ).join('\n  UNION ALL\n  ')}
)
SELECT (SELECT count(*) FROM users) AS users, (SELECT max(account_id) FROM users) AS last,
       (SELECT count(*) FROM differences) AS found,
       coalesce((SELECT jsonb_agg(to_jsonb(f)) FROM (
         SELECT * FROM differences ORDER BY account_id, check_index, allocation_id, session_id, usage_id, entry_id
          LIMIT $2) f), '[]') AS differences`,
};

interface Difference {
  account_id: string;
  check_index: number;
  allocation_id: number | null;
  usage_id: number | null;
  entry_id: number | null;
  period_id: number | null;
  session_id: string | null;
  expected: number | null;
  actual: number;
}

/** Proves that balances, lots, ledger, holds, usage and key limits of every user agree. */
@Injectable()
export class CreditsAuditService {
  constructor(private readonly database: Database) {}

  /**
   * Reads all users in batches, so memory stays bounded however many there are and however much they have.
   *
   * @param userId this user only
   * @param onProgress is called with the number of users checked
   * @throws AccountNotFound
   */
  async audit(userId: string | null = null, onProgress?: (usersChecked: number) => void): Promise<AuditDto> {
    const differences: AuditDifferenceDto[] = [];
    let usersChecked = 0;
    let differencesFound = 0;
    let last = '';
    for (;;) {
      const [batch] = await this.database.report<{
        users: string;
        last: string | null;
        found: string;
        differences: Difference[];
      }>(AUDIT_BATCH, [last, MAXIMUM_DIFFERENCES - differences.length, userId]);
      if (batch === undefined || batch.last === null) break;
      usersChecked += toSafeInteger(batch.users);
      differencesFound += toSafeInteger(batch.found);
      differences.push(...batch.differences.map(explained));
      last = batch.last;
      onProgress?.(usersChecked);
    }
    if (userId !== null && usersChecked === 0) throw new AccountNotFound();
    return { ok: differencesFound === 0, usersChecked, differencesFound, differences };
  }
}

function explained(difference: Difference): AuditDifferenceDto {
  const { name = '', explanation = '' } = AUDIT_CHECKS[difference.check_index] ?? {};
  return {
    accountId: difference.account_id,
    userId: difference.account_id,
    check: name,
    explanation,
    allocationId: difference.allocation_id,
    sessionId: difference.session_id,
    usageId: difference.usage_id,
    ledgerEntryId: difference.entry_id,
    periodId: difference.period_id,
    expected: difference.expected,
    actual: difference.actual,
  };
}
