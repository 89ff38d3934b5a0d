import { Injectable } from '@nestjs/common';
import { Database, operation, type Statement } from '../common/database/database.js';
import type { Idempotency } from '../common/http/idempotency.js';
import type {
  AllocationAnswer,
  ChargeAnswer,
  DeductionAnswer,
  ProgressAnswer,
  RepairAnswer,
  Quote,
  ReviewAction,
  SessionStartedAnswer,
  SettlementAnswer,
  Shortage,
  TokenCounts,
  UsageAnswer,
} from './money-answers.js';
import { MovementQueue } from './movement-queue.js';

type Ok<Answer> = { outcome: 'ok' } & Answer;
interface Refused<Outcome extends string> {
  outcome: Outcome;
}

const ALLOCATE = operation('credit_allocate', 10);
const DEDUCT = operation('credit_deduct', 7);
const REVOKE = operation('credit_revoke', 7);
const EXPIRE = operation('credit_expire', 2);
const QUOTE = operation('credit_quote', 5);
const HOLD = operation('session_hold', 11);
const PROGRESS = operation('session_progress', 7);
const SETTLE = operation('session_settle', 10);
const TIME_OUT = operation('session_timeout', 3);
const RECORD = operation('usage_record', 10);
const CHARGE = operation('usage_charge', 20);
const REVIEW = operation('usage_review', 9);
const REPAIR = operation('credit_repair', 2);
const FORGET_KEYS = operation('forget_idempotency_keys', 1);

/**
 * Everything that moves credits, each as one SQL function in one transaction and one round trip (law 7). The functions
 * are in `migrations/functions/*.sql`; nothing else writes the tables behind them. An outcome other than `ok` is a
 * refusal that moved nothing.
 */
@Injectable()
export class MoneyFunctions {
  constructor(
    private readonly database: Database,
    private readonly queue: MovementQueue,
  ) {}

  /** Gives a user a lot of `credits` that expires after `expiryDays` days of 24 hours. */
  allocate(request: {
    userId: string;
    credits: number;
    expiryDays: number;
    notes: string | null;
    actor: string;
    email: string | null;
    username: string | null;
    idempotency: Idempotency;
  }) {
    const { callerId, key, hash } = request.idempotency;
    return this.call<
      | Ok<AllocationAnswer>
      | Refused<'user_not_found' | 'email_taken' | 'balance_limit' | 'too_many_lots' | 'idempotency_mismatch'>
    >(ALLOCATE, [
      request.userId,
      request.credits,
      request.expiryDays,
      request.notes,
      request.actor,
      request.email,
      request.username,
      callerId,
      key,
      hash,
    ]);
  }

  /** Takes `credits` away, soonest expiry first; all or nothing. */
  deduct(request: {
    userId: string;
    credits: number;
    notes: string;
    actor: string;
    idempotency: Idempotency;
  }) {
    const { callerId, key, hash } = request.idempotency;
    return this.queue.run<
      Ok<DeductionAnswer> | Shortage | Refused<'user_not_found' | 'idempotency_mismatch'>
    >(DEDUCT, [request.userId, request.credits, request.notes, request.actor, callerId, key, hash]);
  }

  /** Empties one lot for good; repeated, it answers the same. */
  revoke(request: {
    userId: string;
    allocationId: number;
    notes: string | null;
    actor: string;
    idempotency: Idempotency;
  }) {
    const { callerId, key, hash } = request.idempotency;
    return this.call<Ok<AllocationAnswer> | Refused<'allocation_not_found' | 'idempotency_mismatch'>>(
      REVOKE,
      [...[request.userId, request.allocationId, request.notes, request.actor], ...[callerId, key, hash]],
    );
  }

  /** Writes off a user's expired lots; `busy` when somebody holds the balance and `wait` is false. */
  expire(userId: string, wait: boolean) {
    return this.call<Ok<{ expiredCredits: number }> | Refused<'busy'>>(EXPIRE, [userId, wait]);
  }

  /** What a call costs at the price in force. Moves nothing. */
  quote(modelId: string, counts: TokenCounts) {
    const { tokens, input, output, cachedInput } = counts;
    return this.database.answer<Quote>(QUOTE, [modelId, tokens, input, output, cachedInput]);
  }

  /** Starts a session: holds the estimate plus the buffer and pins the price. */
  hold(request: {
    userId: string;
    sessionId: string;
    modelId: string;
    counts: TokenCounts;
    bufferPercent: number;
    leaseSeconds: number;
    rejectUnpriced: boolean;
    actor: string;
    apiKeyId: number | null;
  }) {
    return this.queue.run<
      | ({ outcome: 'created' | 'repeated' } & SessionStartedAnswer)
      | Shortage
      | Refused<'conflict' | 'already_ended' | 'user_not_found' | 'unpriced'>
    >(HOLD, [
      request.userId,
      request.sessionId,
      request.modelId,
      request.counts.tokens,
      request.counts.input,
      request.counts.output,
      request.bufferPercent,
      request.leaseSeconds,
      request.rejectUnpriced,
      request.actor,
      request.apiKeyId,
    ]);
  }

  /**
   * Reports tokens generated so far, renews the lease and grows the hold when it gets short. At its maximum age a
   * session has ended.
   */
  progress(request: {
    userId: string;
    sessionId: string;
    tokensGenerated: number;
    bufferPercent: number;
    leaseSeconds: number;
    maximumAgeSeconds: number;
    actor: string;
  }) {
    return this.queue.run<Ok<ProgressAnswer> | Refused<'session_not_found' | 'already_ended'>>(PROGRESS, [
      request.userId,
      request.sessionId,
      request.tokensGenerated,
      request.bufferPercent,
      request.leaseSeconds,
      request.actor,
      request.maximumAgeSeconds,
    ]);
  }

  /** Ends a session by its client: charges what was used and gives the rest back to the lots it came from. */
  settle(request: {
    userId: string;
    sessionId: string;
    reason: 'finalized' | 'aborted';
    success: boolean;
    counts: TokenCounts;
    providerCostUsd: string | null;
    actor: string;
  }) {
    const { tokens, input, output, cachedInput } = request.counts;
    return this.queue.run<
      Ok<SettlementAnswer> | Refused<'session_not_found' | 'already_ended' | 'balance_limit'>
    >(SETTLE, [
      request.userId,
      request.sessionId,
      request.reason,
      request.success,
      tokens,
      input,
      output,
      cachedInput,
      request.providerCostUsd,
      request.actor,
    ]);
  }

  /** Ends a session whose lease ran out, by its last progress. */
  timeOut(userId: string, sessionId: string, wait: boolean) {
    return this.call<Ok<SettlementAnswer> | Refused<'busy' | 'not_stale'>>(TIME_OUT, [
      userId,
      sessionId,
      wait,
    ]);
  }

  /** Keeps a usage event that was settled elsewhere. Moves nothing. */
  record(request: {
    userId: string;
    timestamp: string | null;
    service: string;
    operation: string;
    credits: number;
    metadata: Record<string, unknown>;
    apiKeyId: number | null;
    idempotency: Idempotency;
  }) {
    const { callerId, key, hash } = request.idempotency;
    return this.queue.run<Ok<UsageAnswer> | Refused<'user_not_found' | 'idempotency_mismatch' | 'day_limit'>>(
      RECORD,
      [
        request.userId,
        request.timestamp,
        request.service,
        request.operation,
        request.credits,
        JSON.stringify(request.metadata),
        callerId,
        key,
        hash,
        request.apiKeyId,
      ],
    );
  }

  /** Prices, debits and records one finished call, idempotent by its request id. */
  charge(request: {
    userId: string;
    requestId: string;
    requestHash: Buffer;
    modelId: string;
    counts: TokenCounts;
    service: string;
    metadata: Record<string, unknown>;
    timestamp: string | null;
    providerCostUsd: string | null;
    billingStatus: 'billed' | 'needs_review';
    onInsufficient: 'reject' | 'review';
    rejectUnpriced: boolean;
    actor: string;
    apiKeyId: number | null;
    idempotency: Idempotency;
  }) {
    const { tokens, input, output, cachedInput } = request.counts;
    const { callerId, key, hash } = request.idempotency;
    return this.queue.run<
      | Ok<ChargeAnswer>
      | Shortage
      | Refused<'user_not_found' | 'request_mismatch' | 'idempotency_mismatch' | 'unpriced'>
    >(CHARGE, [
      request.userId,
      request.requestId,
      request.requestHash,
      request.modelId,
      tokens,
      input,
      output,
      cachedInput,
      request.service,
      JSON.stringify(request.metadata),
      request.timestamp,
      request.providerCostUsd,
      request.billingStatus,
      request.onInsufficient,
      request.rejectUnpriced,
      request.actor,
      request.apiKeyId,
      callerId,
      key,
      hash,
    ]);
  }

  /** Decides on what a record has open, in the version given; `credits` instead of what could not be collected. */
  review(request: {
    userId: string;
    usageId: number;
    version: number;
    action: ReviewAction;
    credits: number | null;
    actor: string;
    idempotency: Idempotency;
  }) {
    const { callerId, key, hash } = request.idempotency;
    return this.call<
      | Ok<UsageAnswer>
      | Shortage
      | Refused<'usage_not_found' | 'not_in_review' | 'already_reviewed' | 'changed' | 'idempotency_mismatch'>
    >(REVIEW, [
      request.userId,
      request.usageId,
      request.action,
      request.credits,
      request.actor,
      request.version,
      callerId,
      key,
      hash,
    ]);
  }

  /** Sets a user's cache to what lots and sessions say, and writes down what was wrong. */
  repair(userId: string, actor: string) {
    return this.call<Ok<RepairAnswer> | Refused<'user_not_found'>>(REPAIR, [userId, actor]);
  }

  /** Deletes up to `limit` idempotency keys that are past their 24 hours; answers how many. */
  async forgetIdempotencyKeys(limit: number): Promise<number> {
    const row = await this.database.row<{ answer: string }>(FORGET_KEYS, [limit]);
    return Number(row?.answer ?? 0);
  }

  private call<Answer>(statement: Statement, values: unknown[]): Promise<Answer> {
    return this.database.answer<Answer>(statement, values, 'movements');
  }
}
