import { ServiceError } from '../common/errors/service-error.js';
import type { LimitReached, Shortage } from './credits.operations.js';

interface ShortageMembers {
  requiredCredits: number;
  availableCredits: number;
  /** The largest estimate that the available credits could hold, when a session is started. */
  maxAffordableTokens?: number;
  /** Every budget that stands in the way. */
  limits?: LimitReached[];
}

/** 402: more credits are needed than are there; nothing was changed. */
export class InsufficientCredits extends ServiceError {
  static readonly example = new InsufficientCredits({ requiredCredits: 4, availableCredits: 3 });

  constructor(members: ShortageMembers) {
    super(402, 'credits.insufficient', 'Insufficient credits', { members });
  }
}

const LIMIT = {
  budgetId: 7,
  scope: 'unit',
  scopeId: '3',
  unit: 'credits',
  window: 'month',
  limit: 1000,
  used: 990,
  held: 8,
  resetsAt: '2026-12-01T00:00:00.000Z',
};

/** 402: a hard budget of credits does not cover the call, whatever the balance; nothing was changed. */
export class BudgetExceeded extends ServiceError {
  static readonly example = new BudgetExceeded({ requiredCredits: 4, availableCredits: 2, limits: [LIMIT] });

  constructor(members: ShortageMembers) {
    super(402, 'budget.exceeded', `A budget does not cover the call: ${described(members)}`, { members });
  }
}

/** 429: the call does not fit a limit of tokens, requests or sessions; nothing was changed. */
export class LimitExceeded extends ServiceError {
  static readonly example = new LimitExceeded(
    {
      requiredCredits: 4,
      availableCredits: 500,
      limits: [{ ...LIMIT, unit: 'requests', window: 'minute', limit: 60, used: 58, held: 2 }],
    },
    12,
  );

  constructor(members: ShortageMembers, retryAfterSeconds?: number | null) {
    super(429, 'limit.exceeded', `The call exceeds a limit: ${described(members)}`, {
      members,
      ...(typeof retryAfterSeconds === 'number' && { retryAfterSeconds }),
    });
  }
}

function described({ limits = [] }: ShortageMembers): string {
  return limits
    .map(({ scope, scopeId, unit, window, limit, used, held }) => {
      const whose = scopeId === null ? scope.replace('_', ' ') : `${scope} ${scopeId}`;
      const per = unit === 'sessions' ? 'at once' : window === 'lifetime' ? 'in all' : `per ${window}`;
      return `${whose}: ${used} used and ${held} held of ${limit} ${unit} ${per}`;
    })
    .join('; ');
}

/** The refusal that a shortage becomes. */
export function shortage({ outcome, retryAfterSeconds, ...members }: Shortage): ServiceError {
  if (outcome === 'budget_exceeded') return new BudgetExceeded(members);
  if (outcome === 'limit_exceeded') return new LimitExceeded(members, retryAfterSeconds);
  return new InsufficientCredits(members);
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
