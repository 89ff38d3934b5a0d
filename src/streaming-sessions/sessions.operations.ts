import { type AccountRequest, type Ok, operation, type Refused } from '../common/database/database.js';
import type { LimitReached, Shortage } from '../credits/credits.operations.js';
import type { Call } from '../pricing/call.js';
import type { PricingSource } from '../pricing/price.js';
import type { ServiceTier } from '../pricing/price-classes.js';

/** The operations of this module, in `sql/operations`. */

interface SessionRequest extends AccountRequest {
  userId: string;
  sessionId: string;
  actor: string;
}

/** Who estimated the output: the caller, the service by what it has learned of the model, or none: it is the maximum. */
export const ESTIMATE_SOURCES = ['caller', 'learned', 'ceiling'] as const;
export type EstimateSource = (typeof ESTIMATE_SOURCES)[number];

export interface SessionStartedAnswer {
  id: number;
  sessionId: string;
  accountId: string;
  userId: string;
  modelId: string;
  estimatedCredits: number;
  allocatedCredits: number;
  usedCredits: number;
  status: 'active' | 'completed' | 'failed';
  startedAt: string;
  expiresAt: string;
  completedAt: string | null;
  remainingCredits: number;
  pricingSource: PricingSource;
  /** The model, or the pattern of models, that the rule is for. */
  pricedAs: string;
  estimateSource: EstimateSource;
  maxAffordableTokens: number | null;
}

/** What is done to a session that is there. */
interface LaterRequest extends SessionRequest {
  /** The caller's key, which sees only the sessions of its own line; null: a token or a trusted service, which sees all. */
  apiKeyId: number | null;
}

/** Starts a session: holds the estimate plus the buffer and pins the price. */
export const HOLD = operation<
  SessionRequest & {
    modelId: string;
    estimatedTokens: number | undefined;
    estimatedInputTokens: number | undefined;
    /** With a maximum: what calls of the model are known to need, undefined where that is not known. */
    estimatedOutputTokens: number | undefined;
    maxOutputTokens?: number | undefined;
    tags?: Record<string, string> | undefined;
    bufferPercent: number;
    leaseSeconds: number;
    rejectUnpriced: boolean;
    apiKeyId: number | null;
  },
  | ({ outcome: 'created' | 'repeated' } & SessionStartedAnswer)
  | Shortage
  | Refused<'conflict' | 'already_ended' | 'user_not_found' | 'unpriced'>
>('session_hold');

export interface ProgressAnswer {
  sessionId: string;
  status: 'active';
  tokensGenerated: number;
  usedCredits: number;
  allocatedCredits: number;
  shouldStop: boolean;
  /** What stands in the way of going on; null: nothing. */
  reason: Shortage['outcome'] | 'not_a_member' | null;
  limits: LimitReached[];
  maxAffordableTokens: number;
  expiresAt: string;
}

/** Reports tokens generated so far, renews the lease and grows the hold when it gets short. At its maximum age it has ended. */
export const PROGRESS = operation<
  LaterRequest & {
    tokensGenerated: number;
    bufferPercent: number;
    leaseSeconds: number;
    maximumAgeSeconds: number;
  },
  Ok<ProgressAnswer> | Refused<'session_not_found' | 'already_ended'>
>('session_progress');

export interface SettlementAnswer {
  id: number;
  sessionId: string;
  accountId: string;
  userId: string;
  status: 'completed' | 'failed';
  endReason: 'finalized' | 'aborted' | 'timeout';
  estimatedCredits: number;
  actualCredits: number;
  estimateSource: EstimateSource;
  /** What was held at the start, and what at the end. */
  firstHold: number;
  allocatedCredits: number;
  refund: number;
  overage: number;
  uncollected: number;
  overrun: { budgetId: number; by: number }[];
  late: boolean;
  completedAt: string;
}

/** Ends a session by its client: charges what was used and gives the rest back to the lots it came from. */
export const SETTLE = operation<
  LaterRequest &
    Partial<Call> & {
      reason: 'finalized' | 'aborted';
      success: boolean;
      serviceTier: ServiceTier;
      /** Of an aborted session; left out: as many as the last progress reported. */
      tokensGenerated?: number | undefined;
      providerCostUsd: string | null;
    },
  Ok<SettlementAnswer> | Refused<'session_not_found' | 'already_ended' | 'balance_limit'>
>('session_settle');

/** Ends a session whose lease ran out, by its last progress. */
export const TIME_OUT = operation<
  Omit<SessionRequest, 'actor'> & { wait: boolean },
  Ok<SettlementAnswer> | Refused<'busy' | 'not_stale'>
>('session_timeout');
