import { Injectable } from '@nestjs/common';
import { InjectThrottlerStorage, type ThrottlerStorage } from '@nestjs/throttler';
import { AccountsService } from '../accounts/accounts.service.js';
import { Changes, type Once } from '../common/database/changes.js';
import { Database } from '../common/database/database.js';
import {
  AccountNotFound,
  IdempotencyMismatch,
  unknownOutcome,
  ValidationError,
} from '../common/errors/service-error.js';
import type { Author } from '../common/http/author.js';
import { type Caller, hasRole, idempotencyScope, seenUser } from '../common/http/caller.js';
import { idempotencyOf } from '../common/http/idempotency.js';
import { decodeCursor, toPage } from '../common/http/page.js';
import {
  BudgetNotFound,
  BudgetOfKey,
  BudgetScopeNotFound,
  BudgetSetByPlatform,
  TooManyBudgets,
} from './budgets.errors.js';
import {
  type BudgetAnswer,
  CREATE_BUDGET,
  DELETE_BUDGET,
  RAISE_BUDGET,
  UPDATE_BUDGET,
} from './budgets.operations.js';
import type {
  BudgetsQueryDto,
  CreateBudgetDto,
  RaiseBudgetDto,
  UpdateBudgetDto,
} from './dto/budgets.requests.js';
import {
  BudgetDto,
  type BudgetPageDto,
  type BudgetPeriodDto,
  type BudgetPeriodPageDto,
} from './dto/budgets.responses.js';
import { countChange } from '../common/http/rate-limit.js';
import type { PageQueryDto } from '../common/http/page.js';

const LIST = { name: 'budgets_list', text: 'SELECT budgets_list($1, $2, $3, $4, $5) AS budgets' };
const PERIODS = {
  name: 'budget_periods_list',
  text: 'SELECT budget_periods_list($1, $2, $3, $4, $5) AS periods',
};

/**
 * Changes of one account's budgets in a minute by the account itself: each may emit an event for every alert that it passes,
 * and is kept in the activity log.
 */
const MAXIMUM_CHANGES = 60;

/** Budgets of accounts: what is decided with every hold and charge. Rules in README.md beside this file. */
@Injectable()
export class BudgetsService {
  constructor(
    private readonly database: Database,
    private readonly changes: Changes,
    private readonly accounts: AccountsService,
    @InjectThrottlerStorage() private readonly windows: ThrottlerStorage,
  ) {}

  /** @throws AccountNotFound, BudgetScopeNotFound, TooManyBudgets, IdempotencyMismatch, RateLimited; ValidationError for an unknown zone */
  async create(caller: Author, request: CreateBudgetDto, key: string | null): Promise<Once<BudgetDto>> {
    const {
      scope,
      scopeId = null,
      unit,
      window = 'lifetime',
      amount,
      mode,
      timeZone,
      anchorDay,
      alerts,
    } = request;
    await this.countChange(caller);
    const answer = await this.changes.call(turnOf(caller), CREATE_BUDGET, {
      accountId: caller.accountId,
      origin: caller.origin,
      scope,
      scopeId,
      unit,
      window,
      timeZone,
      anchorDay,
      amount,
      mode,
      alerts,
      setBy: isPlatform(caller) ? 'platform' : 'account',
      actor: caller.actor,
      ...idempotencyOf(idempotencyScope(caller), 'budget', key, request),
    });
    switch (answer.outcome) {
      case 'ok':
        return { answer: BudgetDto.from(answer.budget), replayed: answer.replayed ?? false };
      case 'account_not_found':
        throw new AccountNotFound();
      case 'scope_not_found':
        throw new BudgetScopeNotFound('scopeId');
      case 'unknown_time_zone':
        throw new ValidationError([
          { field: 'timeZone', message: 'must be a time zone that the database knows' },
        ]);
      case 'too_many':
        throw new TooManyBudgets('The account has 1000 budgets, which is the maximum');
      case 'too_many_of_scope':
        throw new TooManyBudgets('There are 8 budgets for this scope, which is the maximum');
      case 'too_many_patterns':
        throw new TooManyBudgets('There are 20 budgets for patterns of models, which is the maximum');
      case 'too_many_tag_names':
        throw new TooManyBudgets('There are budgets for tags of 3 names, which is the maximum');
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      default:
        throw unknownOutcome(answer);
    }
  }

  /** Newest first. A member who sees only their own gets what applies to them. @throws AccountNotFound */
  async page(caller: Caller, { limit, cursor, memberId }: BudgetsQueryDto): Promise<BudgetPageDto> {
    const member = memberOf(caller, memberId);
    const values = [caller.accountId, member, null, decodeCursor(cursor) ?? null, limit + 1];
    const [row] = await this.database.report<{ budgets: BudgetAnswer[] }>(LIST, values);
    const budgets = row?.budgets ?? [];
    if (budgets.length === 0 && !(await this.accounts.exists(caller.accountId))) throw new AccountNotFound();
    return toPage(budgets, limit, (budget) => BudgetDto.from(budget));
  }

  /** @throws BudgetNotFound */
  async one(caller: Caller, id: number): Promise<BudgetDto> {
    const values = [caller.accountId, memberOf(caller), id, null, 1];
    const row = await this.database.row<{ budgets: BudgetAnswer[] }>(LIST, values);
    const [budget] = row?.budgets ?? [];
    if (budget === undefined) throw new BudgetNotFound();
    return BudgetDto.from(budget);
  }

  /** The history, newest first. @throws BudgetNotFound */
  async periods(caller: Caller, id: number, { limit, cursor }: PageQueryDto): Promise<BudgetPeriodPageDto> {
    await this.one(caller, id);
    const values = [caller.accountId, id, memberOf(caller), decodeCursor(cursor) ?? null, limit + 1];
    const [row] = await this.database.report<{ periods: BudgetPeriodDto[] }>(PERIODS, values);
    return toPage(row?.periods ?? [], limit, (period) => period);
  }

  /** @throws BudgetNotFound, BudgetSetByPlatform, BudgetOfKey, RateLimited */
  async update(caller: Author, id: number, { amount, mode, alerts }: UpdateBudgetDto): Promise<BudgetDto> {
    await this.countChange(caller);
    const answer = await this.changes.call(turnOf(caller), UPDATE_BUDGET, {
      accountId: caller.accountId,
      origin: caller.origin,
      id,
      changes: { amount, mode, alerts },
      isPlatform: isPlatform(caller),
    });
    if (answer.outcome === 'ok') return BudgetDto.from(answer.budget);
    throw refusalOf(answer.outcome);
  }

  /** @throws BudgetNotFound, BudgetSetByPlatform, BudgetOfKey, RateLimited */
  async remove(caller: Author, id: number): Promise<void> {
    await this.countChange(caller);
    const { outcome } = await this.changes.call(turnOf(caller), DELETE_BUDGET, {
      accountId: caller.accountId,
      origin: caller.origin,
      id,
      isPlatform: isPlatform(caller),
    });
    if (outcome !== 'ok') throw refusalOf(outcome);
  }

  /** @throws BudgetNotFound, BudgetSetByPlatform, BudgetOfKey, BudgetScopeNotFound, TooManyBudgets, IdempotencyMismatch; ValidationError */
  async raise(
    caller: Author,
    id: number,
    request: RaiseBudgetDto,
    key: string | null,
  ): Promise<Once<BudgetDto>> {
    await this.countChange(caller);
    const { memberId = null, amount, until, reason } = request;
    const answer = await this.changes.call(turnOf(caller), RAISE_BUDGET, {
      accountId: caller.accountId,
      origin: caller.origin,
      id,
      memberId,
      amount,
      until: until === undefined ? null : new Date(until).toISOString(),
      reason,
      actor: caller.actor,
      isPlatform: isPlatform(caller),
      ...idempotencyOf(idempotencyScope(caller), 'budget-raise', key, { ...request, id }),
    });
    switch (answer.outcome) {
      case 'ok':
        return { answer: BudgetDto.from(answer.budget), replayed: answer.replayed ?? false };
      case 'member_not_found':
        throw new BudgetScopeNotFound('memberId');
      case 'past_until':
        throw new ValidationError([{ field: 'until', message: 'must be in the future' }]);
      case 'too_many':
        throw new TooManyBudgets('The period has 100 raises, which is the maximum');
      case 'idempotency_mismatch':
        throw new IdempotencyMismatch();
      default:
        throw refusalOf(answer.outcome);
    }
  }

  private async countChange(caller: Caller): Promise<void> {
    if (!isPlatform(caller)) await countChange(this.windows, turnOf(caller), MAXIMUM_CHANGES);
  }
}

const isPlatform = ({ role }: Caller) => hasRole(role, 'supervisor');
const turnOf = ({ accountId }: Caller) => `budgets:${accountId}`;

/** Whose budgets are shown: one's own, where that is all one sees; null: everyone's. */
function memberOf(caller: Caller, asked?: string): string | null {
  const own = seenUser(caller) ?? (caller.accountId === caller.userId ? caller.userId : undefined);
  if (seenUser(caller) !== undefined && asked !== undefined && asked !== caller.userId) return own as string;
  return asked ?? own ?? null;
}

function refusalOf(outcome: 'not_found' | 'set_by_platform' | 'key_limit') {
  if (outcome === 'not_found') return new BudgetNotFound();
  return outcome === 'key_limit' ? new BudgetOfKey() : new BudgetSetByPlatform();
}
