import {
  type AccountRequest,
  generalOperation,
  type Ok,
  operation,
  type Refused,
} from '../common/database/database.js';
import type { Originated } from '../common/database/activity.js';
import type { Idempotency } from '../common/http/idempotency.js';
import type { Call } from '../pricing/call.js';
import type { Quote } from '../pricing/price.js';

/** The operations of this module, in `sql/operations`. An outcome other than `ok` is a refusal that moved nothing. */

/** A limit that stands in the way of a call, as refusals name it. */
export interface LimitReached {
  budgetId: number;
  scope: string;
  scopeId: string | null;
  unit: string;
  window: string;
  limit: number;
  used: number;
  held: number;
  resetsAt: string | null;
}

/** What does not fit: the balance, a budget of credits, or a limit of tokens, requests or sessions. */
export interface Shortage {
  outcome: 'insufficient' | 'budget_exceeded' | 'limit_exceeded';
  requiredCredits: number;
  availableCredits: number;
  maxAffordableTokens?: number;
  limits?: LimitReached[];
  /** After so many seconds each limit in the way has begun a new period; null: waiting does not help. */
  retryAfterSeconds?: number | null;
}

/** A lot; times are ISO 8601 texts. */
export interface AllocationAnswer {
  id: number;
  accountId: string;
  userId: string;
  totalCredits: number;
  remainingCredits: number;
  allocatedBy: string;
  allocatedAt: string;
  expiresAt: string;
  notes: string | null;
  /** Whether the account was created for it. */
  accountCreated?: boolean;
  replayed?: boolean;
}

/** Gives an account a lot of `credits` that expires after `expiryDays` days of 24 hours. */
export const ALLOCATE = operation<
  AccountRequest &
    Originated &
    Idempotency & {
      credits: number;
      expiryDays: number;
      notes: string | null;
      actor: string;
      email: string | null;
      username: string | null;
    },
  | Ok<AllocationAnswer>
  | Refused<'user_not_found' | 'email_taken' | 'balance_limit' | 'too_many_lots' | 'idempotency_mismatch'>
>('credit_allocate');

export interface DeductionAnswer {
  accountId: string;
  userId: string;
  deducted: number;
  totalCredits: number;
  replayed?: boolean;
}

/** Takes `credits` away, first to expire first; all or nothing. */
export const DEDUCT = operation<
  AccountRequest & Originated & Idempotency & { credits: number; notes: string; actor: string },
  Ok<DeductionAnswer> | Shortage | Refused<'user_not_found' | 'idempotency_mismatch'>
>('credit_deduct');

/** Empties one lot for good; repeated, it returns the same. */
export const REVOKE = operation<
  AccountRequest & Originated & Idempotency & { allocationId: number; notes: string | null; actor: string },
  Ok<AllocationAnswer> | Refused<'allocation_not_found' | 'idempotency_mismatch'>
>('credit_revoke');

/** Writes off an account's expired lots; `busy` when its balance is locked and `wait` is false. */
export const EXPIRE = operation<
  AccountRequest & { wait: boolean },
  Ok<{ expiredCredits: number }> | Refused<'busy'>
>('credit_expire');

/** What a call costs at the price in force. Moves nothing. */
export const QUOTE = generalOperation<
  { modelId: string; rejectUnpriced: boolean } & Call,
  Ok<Quote> | Refused<'unpriced'>
>('credit_quote');

export interface RepairAnswer {
  availableBefore: number;
  available: number;
  heldBefore: number;
  held: number;
}

/** Sets an account's balance to what lots and sessions say, and writes down what was wrong. */
export const REPAIR = operation<
  AccountRequest & { actor: string },
  Ok<RepairAnswer> | Refused<'user_not_found'>
>('credit_repair');

/** Notes that an audit of all accounts has found `$1` differences. */
export const AUDIT_ENDED = { name: 'audit_ended', text: 'SELECT audit_ended($1)' };

/** Deletes up to `$1` idempotency keys that are past their 24 hours; returns how many. */
export const FORGET_KEYS = {
  name: 'forget_idempotency_keys',
  text: 'SELECT forget_idempotency_keys($1) AS forgotten',
};
