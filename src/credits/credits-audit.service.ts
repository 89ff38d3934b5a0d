import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import type { AuditDifferenceDto, AuditDto } from './dto/credits.responses.js';

const USERS_PER_BATCH = 500;
const MAXIMUM_DIFFERENCES = 1000;

/**
 * Law 6 for one batch of users, in one statement and so in one snapshot: nothing that moves meanwhile looks like a
 * difference. Lots that have expired and are not yet written off still count in the cache, the lots and the ledger.
 */
const AUDIT_BATCH = {
  name: 'credit_audit_batch',
  text: `
WITH users AS (
  SELECT user_id, available, held FROM credit_balances WHERE user_id > $1 ORDER BY user_id LIMIT ${USERS_PER_BATCH}
), lots AS (
  SELECT l.user_id, l.id, l.remaining_credits FROM credit_allocations l JOIN users u ON l.user_id = u.user_id
), entries AS (
  SELECT e.user_id, e.allocation_id, sum(e.credits) AS credits
    FROM credit_ledger e JOIN users u ON e.user_id = u.user_id GROUP BY 1, 2
), sessions AS (
  SELECT s.user_id, s.allocated_credits, (SELECT coalesce(sum(c), 0) FROM unnest(s.held_credits) c) AS by_lot
    FROM streaming_sessions s JOIN users u ON s.user_id = u.user_id WHERE s.status = 'active'
), differences AS (
  SELECT user_id, 'available = lots' AS "check", NULL::bigint AS allocation_id, available AS actual,
         coalesce((SELECT sum(remaining_credits) FROM lots l WHERE l.user_id = u.user_id), 0) AS expected FROM users u
  UNION ALL
  SELECT user_id, 'available = ledger', NULL, available,
         coalesce((SELECT sum(credits) FROM entries e WHERE e.user_id = u.user_id), 0) FROM users u
  UNION ALL
  SELECT user_id, 'available = last balanceAfter', NULL, available,
         coalesce((SELECT balance_after FROM credit_ledger e WHERE e.user_id = u.user_id ORDER BY id DESC LIMIT 1), 0)
    FROM users u
  UNION ALL
  SELECT user_id, 'held = active sessions', NULL, held,
         coalesce((SELECT sum(allocated_credits) FROM sessions s WHERE s.user_id = u.user_id), 0) FROM users u
  UNION ALL
  SELECT user_id, 'held = active sessions by lot', NULL, held,
         coalesce((SELECT sum(by_lot) FROM sessions s WHERE s.user_id = u.user_id), 0) FROM users u
  UNION ALL
  SELECT l.user_id, 'lot = ledger', l.id, l.remaining_credits, coalesce(e.credits, 0)
    FROM lots l LEFT JOIN entries e ON e.user_id = l.user_id AND e.allocation_id = l.id
)
SELECT (SELECT count(*) FROM users) AS users, (SELECT max(user_id) FROM users) AS last,
       coalesce((SELECT jsonb_agg(jsonb_build_object('userId', user_id, 'check', "check", 'allocationId',
                 allocation_id, 'expected', expected, 'actual', actual) ORDER BY user_id, "check", allocation_id)
          FROM differences WHERE expected <> actual), '[]') AS differences`,
};

/** Proves that cache, lots, ledger and holds of every user agree. */
@Injectable()
export class CreditsAuditService {
  constructor(private readonly database: Database) {}

  /** Reads all users in batches, so memory stays bounded however many there are. */
  async audit(): Promise<AuditDto> {
    const differences: AuditDifferenceDto[] = [];
    let usersChecked = 0;
    let last = '';
    for (;;) {
      const batch = await this.database.row<{
        users: string;
        last: string;
        differences: AuditDifferenceDto[];
      }>(AUDIT_BATCH, [last]);
      if (batch === undefined || batch.last === null) break;
      usersChecked += toSafeInteger(batch.users);
      differences.push(...batch.differences.slice(0, MAXIMUM_DIFFERENCES - differences.length));
      last = batch.last;
    }
    return { ok: differences.length === 0, usersChecked, differences };
  }
}
