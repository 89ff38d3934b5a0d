import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import type { Role } from '../common/http/caller.js';
import type { CombinedReads } from '../common/database/combined-reads.js';
import { Database } from '../common/database/database.js';

export const MEMBER_ROLES = ['owner', 'admin', 'billing', 'member'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

/** What a token says of its user. */
export interface AccountClaims {
  userId: string;
  email: string;
  username: string;
  role: string;
}

const UPSERT = { name: 'account_upsert', text: 'SELECT account_upsert($1, $2, $3, $4)' };
const EXISTS = { name: 'account_exists', text: 'SELECT 1 FROM credit_balances WHERE account_id = $1' };
const ROLES = {
  name: 'account_roles',
  text: 'SELECT user_id, role FROM user_accounts WHERE user_id = ANY ($1::varchar[])',
};
/** By account and user, with a blank between them: an organisation's id has none. */
const MEMBER_ROLE = {
  name: 'member_role',
  text: `SELECT asked.key, m.role
           FROM unnest($1::varchar[]) asked (key)
           JOIN members m ON m.account_id = split_part(asked.key, ' ', 1)
                         AND m.user_id = substr(asked.key, strpos(asked.key, ' ') + 1)`,
};
/** Users remembered per instance; about 200 bytes each. */
const KNOWN_USERS = 100_000;
/** After this an account is written again: another instance may have written other claims meanwhile. */
const KNOWN_MILLISECONDS = 600_000;
/**
 * So often an account may be rewritten one after the other, and then so often a minute: two tokens of one user with
 * different claims, used in turn, would otherwise write with each request, before any rate limit.
 */
const REWRITES_AT_ONCE = 5;
const REWRITES_PER_MINUTE = 10;

interface KnownAccount {
  readonly account: AccountClaims;
  readonly written: Promise<void>;
  isWritten: boolean;
  /** What is left of the rewrites, as of `asOf` (milliseconds of a clock that never goes back). */
  readonly rewrites: number;
  readonly asOf: number;
}

/** Keeps user accounts in step with the tokens. */
@Injectable()
export class AccountsService {
  /** What was written last for a user, or is being written: an unchanged, known user costs no database trip. */
  private readonly known = new LRUCache<string, KnownAccount>({
    max: KNOWN_USERS,
    ttl: KNOWN_MILLISECONDS,
  });

  private readonly members: CombinedReads<{ key: string; role: MemberRole }>;

  constructor(private readonly database: Database) {
    this.members = database.reads(MEMBER_ROLE);
  }

  /**
   * Creates the account at a user's first request, updates it when the claims have changed, and otherwise does nothing.
   * Simultaneous first requests of one user share one write. While an account is being written, and when it has been
   * rewritten too often, it keeps the claims it has: what a caller may do is judged by their token, not by this row.
   */
  ensure(account: AccountClaims): Promise<void> {
    const known = this.known.get(account.userId);
    if (known === undefined) return this.remember(account, REWRITES_AT_ONCE);
    if (isSame(known.account, account) || !known.isWritten) return known.written;
    const minutes = (performance.now() - known.asOf) / 60_000;
    const rewrites = Math.min(known.rewrites + minutes * REWRITES_PER_MINUTE, REWRITES_AT_ONCE);
    return rewrites < 1 ? known.written : this.remember(account, rewrites - 1);
  }

  private remember(account: AccountClaims, rewrites: number): Promise<void> {
    const written = this.write(account);
    const known: KnownAccount = { account, written, isWritten: false, rewrites, asOf: performance.now() };
    this.known.set(account.userId, known);
    written.then(
      () => (known.isWritten = true),
      // What could not be written is not known: the next request tries again.
      () => {
        if (this.known.peek(account.userId) === known) this.known.delete(account.userId);
      },
    );
    return written;
  }

  /** A user's role in an organisation, undefined for a user who is not a member. */
  async memberRole(accountId: string, userId: string): Promise<MemberRole | undefined> {
    return (await this.members.of(`${accountId} ${userId}`))?.role;
  }

  /** Whether there is such an account; false is an answer, not an error. */
  async exists(accountId: string): Promise<boolean> {
    return (await this.database.row(EXISTS, [accountId])) !== undefined;
  }

  /** The roles that users' last tokens gave them. */
  async rolesOf(userIds: string[]): Promise<Map<string, Role>> {
    const rows = await this.database.rows<{ user_id: string; role: Role }>(ROLES, [userIds]);
    return new Map(rows.map(({ user_id, role }) => [user_id, role]));
  }

  private async write({ userId, email, username, role }: AccountClaims): Promise<void> {
    await this.database.rows(UPSERT, [userId, email, username, role]);
  }
}

function isSame(one: AccountClaims, other: AccountClaims): boolean {
  return one.email === other.email && one.username === other.username && one.role === other.role;
}
