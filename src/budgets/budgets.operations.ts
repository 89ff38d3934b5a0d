import { type AccountRequest, type Ok, operation, type Refused } from '../common/database/database.js';
import type { Originated } from '../common/database/activity.js';
import type { Idempotency } from '../common/http/idempotency.js';

/** The operations of this module, in `sql/operations`. */

export const BUDGET_SCOPES = ['account', 'unit', 'member', 'each_member', 'key', 'model', 'tag'] as const;
export type BudgetScope = (typeof BUDGET_SCOPES)[number];
export const BUDGET_UNITS = ['credits', 'tokens', 'requests', 'sessions'] as const;
export type BudgetUnit = (typeof BUDGET_UNITS)[number];
export const BUDGET_WINDOWS = ['minute', 'hour', 'day', 'week', 'month', 'lifetime'] as const;
export type BudgetWindow = (typeof BUDGET_WINDOWS)[number];
export const BUDGET_MODES = ['hard', 'soft'] as const;
export type BudgetMode = (typeof BUDGET_MODES)[number];

/** A budget with its period of now; `budget_json` in SQL. Times are ISO 8601 texts. */
export interface BudgetAnswer {
  id: number;
  accountId: string;
  scope: BudgetScope;
  scopeId: string | null;
  unit: BudgetUnit;
  window: BudgetWindow | null;
  timeZone: string;
  anchorDay: number;
  amount: number | null;
  mode: BudgetMode;
  alerts: number[];
  setBy: 'platform' | 'account';
  isKeyLimit: boolean;
  createdBy: string;
  createdAt: string;
  limit: number | null;
  used: number | null;
  held: number | null;
  left: number | null;
  startsAt: string | null;
  resetsAt: string | null;
  countsFrom: string;
}

interface BudgetRequest extends AccountRequest, Originated {
  /** Whether a supervisor or an admin of the platform asks. */
  isPlatform: boolean;
}

export const CREATE_BUDGET = operation<
  AccountRequest &
    Originated &
    Idempotency & {
      scope: BudgetScope;
      scopeId: string | null;
      unit: BudgetUnit;
      window: BudgetWindow;
      timeZone: string;
      anchorDay: number;
      amount: number;
      mode: BudgetMode;
      alerts: number[];
      setBy: 'platform' | 'account';
      actor: string;
    },
  | Ok<{ budget: BudgetAnswer; replayed?: boolean }>
  | Refused<
      | 'account_not_found'
      | 'scope_not_found'
      | 'unknown_time_zone'
      | 'too_many'
      | 'too_many_of_scope'
      | 'too_many_patterns'
      | 'too_many_tag_names'
      | 'idempotency_mismatch'
    >
>('budget_create');

export const UPDATE_BUDGET = operation<
  BudgetRequest & {
    id: number;
    changes: { amount?: number | undefined; mode?: BudgetMode | undefined; alerts?: number[] | undefined };
  },
  Ok<{ budget: BudgetAnswer }> | Refused<'not_found' | 'set_by_platform' | 'key_limit'>
>('budget_update');

export const DELETE_BUDGET = operation<
  BudgetRequest & { id: number },
  Refused<'ok' | 'not_found' | 'set_by_platform' | 'key_limit'>
>('budget_delete');

export const RAISE_BUDGET = operation<
  BudgetRequest &
    Idempotency & {
      id: number;
      memberId: string | null;
      amount: number;
      until: string | null;
      reason: string;
      actor: string;
    },
  | Ok<{ budget: BudgetAnswer; replayed?: boolean }>
  | Refused<
      | 'not_found'
      | 'set_by_platform'
      | 'key_limit'
      | 'member_not_found'
      | 'past_until'
      | 'too_many'
      | 'idempotency_mismatch'
    >
>('budget_raise');
