import { ServiceError } from '../common/errors/service-error.js';

/** 404: the account has no budget of that id. */
export class BudgetNotFound extends ServiceError {
  constructor() {
    super(404, 'budget.not_found', 'Budget not found');
  }
}

/** 404: the account has no unit, member or API key that the budget names. */
export class BudgetScopeNotFound extends ServiceError {
  static readonly example = new BudgetScopeNotFound('scopeId');

  constructor(field: 'scopeId' | 'memberId') {
    super(404, 'budget.scope_not_found', 'The account has no such unit, member or API key', {
      errors: [{ field, message: 'is not of this account' }],
    });
  }
}

/** 403: an account's own people cannot loosen what the platform has set. */
export class BudgetSetByPlatform extends ServiceError {
  constructor() {
    super(
      403,
      'budget.set_by_platform',
      'The platform has set this budget; only its supervisors can change it',
    );
  }
}

/** 409: the limit of an API key is changed with the key. */
export class BudgetOfKey extends ServiceError {
  constructor() {
    super(
      409,
      'budget.of_key',
      'This is the credit limit of an API key: change it with `creditLimit` of PATCH /api-keys/:id',
    );
  }
}

/** 409: an account has a bounded number of budgets, in all and for what one call may match, and a period at most 100 raises. */
export class TooManyBudgets extends ServiceError {
  static readonly example = new TooManyBudgets('The account has 1000 budgets, which is the maximum');

  constructor(message: string) {
    super(409, 'budget.too_many', message);
  }
}
