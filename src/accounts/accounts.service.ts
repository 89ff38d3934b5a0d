import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Database } from '../common/database/database.js';

/** What a token says of its user. */
export interface AccountClaims {
  userId: string;
  email: string;
  username: string;
  role: string;
}

const UPSERT = { name: 'account_upsert', text: 'SELECT account_upsert($1, $2, $3, $4)' };
const EXISTS = { name: 'account_exists', text: 'SELECT 1 FROM user_accounts WHERE user_id = $1' };
/** Users remembered per instance; about 200 bytes each. */
const KNOWN_USERS = 100_000;
/** After this an account is written again: another instance may have written other claims meanwhile. */
const KNOWN_MILLISECONDS = 600_000;

/** Keeps user accounts in step with the tokens. */
@Injectable()
export class AccountsService {
  /** What was written last for a user, or is being written: an unchanged, known user costs no database trip. */
  private readonly known = new LRUCache<string, { account: AccountClaims; written: Promise<void> }>({
    max: KNOWN_USERS,
    ttl: KNOWN_MILLISECONDS,
  });

  constructor(private readonly database: Database) {}

  /**
   * Creates the account at a user's first request, updates it when the claims have changed, and otherwise does nothing.
   * Simultaneous first requests of one user share one write.
   */
  ensure(account: AccountClaims): Promise<void> {
    const known = this.known.get(account.userId);
    if (known !== undefined && isSame(known.account, account)) return known.written;
    const written = this.write(account);
    this.known.set(account.userId, { account, written });
    // What could not be written is not known: the next request tries again.
    written.catch(() => {
      if (this.known.peek(account.userId)?.written === written) this.known.delete(account.userId);
    });
    return written;
  }

  /** Whether the user has been seen; false is an answer, not an error. */
  async exists(userId: string): Promise<boolean> {
    return (await this.database.row(EXISTS, [userId])) !== undefined;
  }

  private async write({ userId, email, username, role }: AccountClaims): Promise<void> {
    await this.database.rows(UPSERT, [userId, email, username, role]);
  }
}

function isSame(one: AccountClaims, other: AccountClaims): boolean {
  return one.email === other.email && one.username === other.username && one.role === other.role;
}
