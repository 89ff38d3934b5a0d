import { PageQueryDto } from '../../common/http/page.js';
import {
  EnumField,
  IdField,
  IntegerField,
  IntegerListField,
  MAXIMUM_CREDITS,
  PayerField,
  tagProblem,
  TextField,
  TimeField,
  Together,
  UserIdField,
} from '../../common/http/validators.js';
import { timeZoneProblem } from '../../common/http/time.js';
import {
  BUDGET_MODES,
  BUDGET_SCOPES,
  BUDGET_UNITS,
  BUDGET_WINDOWS,
  type BudgetMode,
  type BudgetScope,
  type BudgetUnit,
  type BudgetWindow,
} from '../budgets.operations.js';

const SCOPE_ID_LENGTH = 151;
const TIME_ZONE_LENGTH = 64;
const REASON_LENGTH = 200;
const MAXIMUM_ALERTS = 10;

const AMOUNT = { description: 'The limit for one period, in the unit', example: 1000 };
const MODE = {
  description: '`hard` refuses what does not fit; `soft` only counts and emits events',
  example: 'hard',
} as const;
const ALERTS = {
  description: 'Percentages of the limit at which `budget.threshold` is emitted, at most 10',
  example: [50, 80, 100],
};

/** Why a scope's id does not fit the scope, or undefined when it does. */
function scopeIdProblem({ scope, scopeId }: CreateBudgetDto): string | undefined {
  if (scope === 'account' || scope === 'each_member') {
    return scopeId === undefined ? undefined : `is not allowed with scope ${scope}`;
  }
  if (scopeId === undefined) return undefined;
  if (scope === 'unit' || scope === 'key') {
    return /^[1-9]\d{0,15}$/.test(scopeId)
      ? undefined
      : `must be the id of a ${scope === 'key' ? 'key' : 'unit'}`;
  }
  if (scope === 'model') return scopeId.length <= 100 ? undefined : 'must have at most 100 characters';
  return scope === 'tag' ? tagProblem(scopeId) : undefined;
}

export class CreateBudgetDto {
  @PayerField()
  accountId?: string;

  @EnumField('BudgetScope', BUDGET_SCOPES, {
    description:
      'What the budget is for: the whole account, a unit with the units below it, a member, each member by itself, an API ' +
      'key with its rotated successors, a model, or a tag',
    example: 'unit',
  })
  scope: BudgetScope;

  @IdField(SCOPE_ID_LENGTH, {
    description:
      'Id of the unit, member or key; a model’s id or its beginning and `*`; a tag as `feature=search`. Not with `account` ' +
      'and `each_member`',
    example: '3',
    required: false,
    isNeeded: ({ scope }: CreateBudgetDto) => scope !== 'account' && scope !== 'each_member',
  })
  @Together('scopeIdOfScope', scopeIdProblem)
  scopeId?: string;

  @EnumField('BudgetUnit', BUDGET_UNITS, {
    description:
      'What is counted: credits, tokens of every class, requests (calls and sessions), or sessions that are open at once',
    example: 'credits',
  })
  unit: BudgetUnit;

  @EnumField('BudgetWindow', BUDGET_WINDOWS, {
    description: 'How long a period lasts. Not with `sessions`, which has no periods',
    example: 'month',
    required: false,
    isNeeded: ({ unit }: CreateBudgetDto) => unit !== 'sessions',
  })
  @Together('windowOfUnit', ({ unit }: CreateBudgetDto) =>
    unit === 'sessions' ? 'is not allowed with unit sessions' : undefined,
  )
  window?: BudgetWindow;

  @IntegerField(0, MAXIMUM_CREDITS, AMOUNT)
  amount: number;

  @EnumField('BudgetMode', BUDGET_MODES, { ...MODE, required: false, default: 'hard' })
  mode: BudgetMode = 'hard';

  @IdField(TIME_ZONE_LENGTH, {
    description:
      'Time zone of days, weeks and months: UTC, or its IANA name; minutes and hours are those of UTC',
    example: 'Europe/Berlin',
    required: false,
    default: 'UTC',
  })
  @Together('timeZoneName', ({ timeZone }: CreateBudgetDto) => timeZoneProblem(timeZone))
  timeZone: string = 'UTC';

  @IntegerField(1, 31, {
    description: 'Day on which a month begins; in shorter months its last day',
    required: false,
    default: 1,
  })
  anchorDay: number = 1;

  @IntegerListField(1, 100, MAXIMUM_ALERTS, { ...ALERTS, required: false })
  alerts: number[] = [];
}

export class BudgetQueryDto {
  @PayerField()
  accountId?: string;
}

export class BudgetsQueryDto extends PageQueryDto {
  @PayerField()
  accountId?: string;

  @UserIdField({
    description:
      'Only budgets that calls of this member may count for, with what the member has left of each',
    example: undefined,
    required: false,
  })
  memberId?: string;
}

export class BudgetPeriodsQueryDto extends PageQueryDto {
  @PayerField()
  accountId?: string;
}

export class UpdateBudgetDto {
  @PayerField()
  accountId?: string;

  @IntegerField(0, MAXIMUM_CREDITS, { ...AMOUNT, required: false })
  amount?: number;

  @EnumField('BudgetMode', BUDGET_MODES, { ...MODE, required: false })
  mode?: BudgetMode;

  @IntegerListField(1, 100, MAXIMUM_ALERTS, { ...ALERTS, required: false })
  alerts?: number[];
}

export class RaiseBudgetDto {
  @PayerField()
  accountId?: string;

  @UserIdField({
    description: 'The member whose period is raised; required for budgets of each member, and only there',
    example: undefined,
    required: false,
  })
  memberId?: string;

  @IntegerField(1, MAXIMUM_CREDITS, { description: 'By how much, in the unit of the budget', example: 200 })
  amount: number;

  @TimeField({
    description: 'When the raise ends; if omitted, with the period',
    example: '2030-01-01T00:00:00Z',
    required: false,
  })
  until?: string;

  @TextField(REASON_LENGTH, { minimumLength: 1, description: 'Why', example: 'The launch' })
  reason: string;
}
