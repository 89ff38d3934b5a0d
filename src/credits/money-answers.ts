/** A lot as the functions answer it; times are ISO 8601 texts. */
export interface AllocationAnswer {
  id: number;
  userId: string;
  totalCredits: number;
  remainingCredits: number;
  allocatedBy: string;
  allocatedAt: string;
  expiresAt: string;
  notes: string | null;
  replayed?: boolean;
}

export interface DeductionAnswer {
  userId: string;
  deducted: number;
  totalCredits: number;
  replayed?: boolean;
}

export interface Shortage {
  /** key_limit: the limit of the API key is what is short, not the balance. */
  outcome: 'insufficient' | 'key_limit';
  requiredCredits: number;
  availableCredits: number;
  maxAffordableTokens?: number;
}

export interface SessionStartedAnswer {
  sessionId: string;
  userId: string;
  modelId: string;
  estimatedCredits: number;
  allocatedCredits: number;
  usedCredits: number;
  status: 'active' | 'completed' | 'failed';
  startedAt: string;
  expiresAt: string;
  remainingCredits: number;
  pricingSource: PricingSource;
}

export interface ProgressAnswer {
  sessionId: string;
  status: 'active';
  tokensGenerated: number;
  usedCredits: number;
  allocatedCredits: number;
  shouldStop: boolean;
  maxAffordableTokens: number;
  expiresAt: string;
}

export interface SettlementAnswer {
  sessionId: string;
  status: 'completed' | 'failed';
  endReason: 'finalized' | 'aborted' | 'timeout';
  estimatedCredits: number;
  actualCredits: number;
  refund: number;
  overage: number;
  uncollected: number;
  late: boolean;
}

export interface UsageAnswer {
  id: number;
  version: number;
  userId: string;
  timestamp: string;
  service: string;
  operation: string;
  credits: number;
  metadata: Record<string, unknown>;
  billingStatus: 'recorded' | 'billed' | 'needs_review' | 'waived';
  uncollectedCredits: number;
  providerCostUsd: string | null;
  providerCostSource: 'reported' | 'computed' | null;
  requestId: string | null;
  apiKeyId: number | null;
  sessionId: string | null;
  pricingRuleId: number | null;
  pricingSource: PricingSource | null;
  reviewAction: ReviewAction | null;
  reviewedBy: string | null;
  reviewedAt: string | null;
  replayed?: boolean;
}

export interface ChargeAnswer {
  record: UsageAnswer;
  totalCredits: number;
  replayed?: boolean;
}

export type ReviewAction = 'bill' | 'waive';

export type PricingSource = 'rule' | 'default' | 'fallback';

export interface Quote {
  credits: number;
  pricingSource: PricingSource;
  pricingRuleId: number | null;
  price: string;
  inputPrice: string | null;
  outputPrice: string | null;
  cachedInputPrice: string | null;
}

/** The tokens of a call: all together, or by class. Classes are exclusive: cached input is not in `input`. */
export interface TokenCounts {
  tokens?: number | undefined;
  input?: number | undefined;
  output?: number | undefined;
  cachedInput?: number | undefined;
}

export interface RepairAnswer {
  availableBefore: number;
  available: number;
  heldBefore: number;
  held: number;
}
