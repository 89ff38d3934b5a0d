import { type Ok, operation, type Refused } from '../common/database/database.js';
import type { AccountRequest } from '../common/database/movements.js';
import type { Idempotency } from '../common/http/idempotency.js';
import type { Call } from '../pricing/call.js';
import type { Quote } from '../pricing/price.js';

/** The operations of this module, in `sql/operations`. An outcome other than `ok` is a refusal that moved nothing. */

/** Too few credits: `key_limit` where the limit of the API key is what is short, not the balance. */
export interface Shortage {
  outcome: 'insufficient' | 'key_limit';
  requiredCredits: number;
  availableCredits: number;
  maxAffordableTokens?: number;
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
    Idempotency & {
      credits: number;
      expiryDays: number;
      notes: string | null;
      actor: string;
      email: string | null;
      username: string | null;
    },
  Ok<AllocationAnswer> | Refused<'email_taken' | 'balance_limit' | 'too_many_lots' | 'idempotency_mismatch'>
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
  AccountRequest & Idempotency & { credits: number; notes: string; actor: string },
  Ok<DeductionAnswer> | Shortage | Refused<'user_not_found' | 'idempotency_mismatch'>
>('credit_deduct');

/** Empties one lot for good; repeated, it returns the same. */
export const REVOKE = operation<
  AccountRequest & Idempotency & { allocationId: number; notes: string | null; actor: string },
  Ok<AllocationAnswer> | Refused<'allocation_not_found' | 'idempotency_mismatch'>
>('credit_revoke');

/** Writes off an account's expired lots; `busy` when its balance is locked and `wait` is false. */
export const EXPIRE = operation<
  AccountRequest & { wait: boolean },
  Ok<{ expiredCredits: number }> | Refused<'busy'>
>('credit_expire');

/** What a call costs at the price in force. Moves nothing. */
export const QUOTE = operation<
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

/** Deletes up to `$1` idempotency keys that are past their 24 hours; returns how many. */
export const FORGET_KEYS = {
  name: 'forget_idempotency_keys',
  text: 'SELECT forget_idempotency_keys($1) AS forgotten',
};
