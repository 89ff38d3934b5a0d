import { Injectable } from '@nestjs/common';
import { Database, type Statement } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { AccountNotFound, ReportTooLong } from '../common/errors/service-error.js';
import { ReportTurns, TooManyReports } from '../common/http/reports.js';
import { AUDIT_CHECKS, type AuditCheck } from './credits-audit.checks.js';
import { AUDIT_ENDED } from './credits.operations.js';
import type { AuditDifferenceDto, AuditDto } from './dto/credits.responses.js';

const USERS_PER_BATCH = 200;
const MAXIMUM_DIFFERENCES = 1000;

const NEXT_USERS = {
  name: 'credit_audit_users',
  isPlannedAnew: true,
  text: `SELECT count(*)::integer AS users, min(account_id) AS first, max(account_id) AS last
           FROM (SELECT account_id FROM credit_balances WHERE account_id > $1 AND ($2::varchar IS NULL OR account_id = $2)
                  ORDER BY account_id LIMIT $3) batch`,
};

/** The tables of the checks, each cut down to a batch: no plan reads the others' rows, however unlike the users are. */
const ROWS_OF_BATCH = [
  'credit_allocations',
  'credit_ledger',
  'streaming_sessions',
  'usage_records',
  'usage_reviews',
  'usage_daily',
  'budget_periods',
  'budget_raises',
  'session_places',
].map((table) => `${table} AS NOT MATERIALIZED (SELECT * FROM ${table} WHERE account_id BETWEEN $1 AND $2)`);

/** One check over a batch of users, in one statement and so in one snapshot. */
export const AUDIT_STATEMENTS = AUDIT_CHECKS.map(({ query }) => ({
  name: 'credit_audit_check',
  isPlannedAnew: true,
  text: `
WITH users AS (SELECT account_id, available, held FROM credit_balances WHERE account_id BETWEEN $1 AND $2),
${ROWS_OF_BATCH.join(',\n')},
differences AS (SELECT d.* FROM (${query}) d WHERE d.expected IS DISTINCT FROM d.actual)
SELECT (SELECT count(*) FROM differences) AS found,
       coalesce((SELECT jsonb_agg(to_jsonb(f)) FROM (
         SELECT * FROM differences ORDER BY account_id, allocation_id, session_id, usage_id, entry_id, period_id
          LIMIT $3) f), '[]') AS differences`,
}));

interface AuditOptions {
  /** Whose turns its statements take. */
  reporter?: string;
  /** Whether someone still waits for the answer. */
  isWanted?: () => boolean;
  /** Is called with the number of users checked. */
  onProgress?: (usersChecked: number) => void;
}

interface Batch {
  users: number;
  first: string | null;
  last: string | null;
}

interface Difference {
  account_id: string;
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
  constructor(
    private readonly database: Database,
    private readonly turns: ReportTurns,
  ) {}

  /**
   * Reads all users in batches, so memory stays bounded however many there are and however much they have. One audit at a
   * time in this process, and each of its statements in a turn of its own: other reports find theirs between.
   *
   * @param userId this user only
   * @throws AccountNotFound, TooManyReports, ReportsBusy, ReportTooLong
   */
  async audit(userId: string | null = null, options: AuditOptions = {}): Promise<AuditDto> {
    const end = await this.turns.take('audits', options.reporter ?? 'audit');
    try {
      return await this.auditAll(userId, options);
    } finally {
      end();
    }
  }

  private async auditAll(userId: string | null, options: AuditOptions): Promise<AuditDto> {
    const audit: AuditDto = { ok: true, usersChecked: 0, differencesFound: 0, differences: [] };
    let after = '';
    let most = USERS_PER_BATCH;
    for (;;) {
      const [batch] = await this.report<Batch>(NEXT_USERS, [after, userId, most], options);
      if (batch === undefined || batch.last === null) break;
      try {
        await this.check(batch, audit, options);
      } catch (error) {
        // Users with very much: fewer at a time from here on.
        if (!(error instanceof ReportTooLong) || batch.users === 1) throw error;
        most = Math.ceil(batch.users / 4);
        continue;
      }
      audit.usersChecked += batch.users;
      after = batch.last;
      options.onProgress?.(audit.usersChecked);
    }
    if (userId === null) await this.database.rows(AUDIT_ENDED, [audit.differencesFound]);
    else if (audit.usersChecked === 0) throw new AccountNotFound();
    return { ...audit, ok: audit.differencesFound === 0 };
  }

  /** Adds a batch's differences to the audit once all checks have ended. */
  private async check({ first, last }: Batch, audit: AuditDto, options: AuditOptions): Promise<void> {
    const differences = [...audit.differences];
    let found = 0;
    for (const [index, statement] of AUDIT_STATEMENTS.entries()) {
      const values = [first, last, MAXIMUM_DIFFERENCES - differences.length];
      const [row] = await this.report<{ found: string; differences: Difference[] }>(
        statement,
        values,
        options,
      );
      if (row === undefined) throw new Error('a check returned nothing');
      found += toSafeInteger(row.found);
      differences.push(...row.differences.map((difference) => explained(AUDIT_CHECKS[index], difference)));
    }
    audit.differencesFound += found;
    audit.differences = differences;
  }

  private report<Row extends object>(
    statement: Statement,
    values: unknown[],
    { reporter = 'audit', isWanted }: AuditOptions,
  ): Promise<Row[]> {
    return this.turns.report(reporter, () => {
      // The client has hung up: the refusal ends the audit and reaches no one.
      if (isWanted?.() === false) throw new TooManyReports('audits');
      return this.database.report<Row>(statement, values);
    });
  }
}

function explained(check: AuditCheck | undefined, difference: Difference): AuditDifferenceDto {
  const { name = '', explanation = '' } = check ?? {};
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
