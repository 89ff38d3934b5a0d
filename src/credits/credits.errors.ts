import { ServiceError } from '../common/errors/service-error.js';
import type { Shortage } from './credits.operations.js';

interface ShortageMembers {
  requiredCredits: number;
  availableCredits: number;
  /** The largest estimate that the available credits could hold, when a session is started. */
  maxAffordableTokens?: number;
}

/** 402: more credits are needed than are there; nothing was changed. */
export class InsufficientCredits extends ServiceError {
  static readonly example = new InsufficientCredits({ requiredCredits: 4, availableCredits: 3 });

  constructor(members: ShortageMembers) {
    super(402, 'credits.insufficient', 'Insufficient credits', { members });
  }
}

/** 402: what is left of the API key's own limit does not cover the call, whatever the balance; nothing was changed. */
export class KeyLimitReached extends ServiceError {
  static readonly example = new KeyLimitReached({ requiredCredits: 4, availableCredits: 3 });

  constructor(members: ShortageMembers) {
    super(402, 'api_key.over_limit', 'The remaining credit limit of this API key does not cover the call', {
      members,
    });
  }
}

/** The refusal that a shortage becomes. */
export function shortage({ outcome, ...members }: Shortage): ServiceError {
  return outcome === 'key_limit' ? new KeyLimitReached(members) : new InsufficientCredits(members);
}

/** 404: no lot of that id. */
export class AllocationNotFound extends ServiceError {
  constructor() {
    super(404, 'credits.allocation_not_found', 'Allocation not found');
  }
}

/** 409: the e-mail given for a new user belongs to another account. */
export class EmailTaken extends ServiceError {
  constructor() {
    super(409, 'account.email_taken', 'This e-mail belongs to another account', {
      errors: [{ field: 'email', message: 'belongs to another account' }],
    });
  }
}

/** 409: the user has as many open allocations as are allowed; every movement may have to look at each of them. */
export class TooManyAllocations extends ServiceError {
  constructor() {
    super(
      409,
      'credits.too_many_allocations',
      'The user has 1000 open allocations, which is the maximum: wait until one is used up or expires, revoke one, ' +
        'or allocate larger amounts',
    );
  }
}

/** Below 2^53 - 1, the largest integer that JSON clients read exactly: a late settlement may still return credits. */
export const MAXIMUM_BALANCE = 9_000_000_000_000_000;

/** 422: the user would own more credits than are allowed, so that every balance stays exact as a JSON number. */
export class BalanceLimit extends ServiceError {
  static readonly example = new BalanceLimit('credits', MAXIMUM_BALANCE);

  constructor(field: string, limit: number) {
    super(422, 'credits.balance_limit', `The balance would exceed ${limit} credits`, {
      errors: [{ field, message: `would make the balance exceed ${limit}` }],
    });
  }
}
