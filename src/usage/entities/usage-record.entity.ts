import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { bigintTransformer, decimalTransformer } from '../../common/database/transformers.js';

const CREDITS = { type: 'bigint', transformer: bigintTransformer } as const;

export const BILLING_STATUSES = ['recorded', 'billed', 'needs_review', 'waived'] as const;
export type BillingStatus = (typeof BILLING_STATUSES)[number];

export const REVIEW_ACTIONS = ['bill', 'waive'] as const;
export type ReviewAction = (typeof REVIEW_ACTIONS)[number];

/** One finished call. Written by the SQL functions only. */
@Entity('usage_records')
@Index('idx_usage_user_timestamp', { synchronize: false })
@Index('idx_usage_timestamp', { synchronize: false })
@Index('idx_usage_needs_review', { synchronize: false })
@Index('uq_usage_request', { synchronize: false })
@Index('idx_usage_id', { synchronize: false })
export class UsageRecord {
  @PrimaryColumn({
    name: 'account_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_usage_records',
  })
  accountId: string;

  @Column({ name: 'user_id', type: 'varchar', length: 50 })
  userId: string;

  @IdentityColumn('pk_usage_records')
  id: number;

  /** 1 when the call is recorded, and one more with every correction and every decision of a review. */
  @Column({ type: 'integer', default: 1 })
  version: number;

  @Column({ type: 'timestamptz', default: () => 'now()' })
  timestamp: Date;

  @Column({ type: 'varchar', length: 50 })
  service: string;

  @Column({ type: 'varchar', length: 100 })
  operation: string;

  /** What the call cost, also the part that could not be collected. */
  @Column(CREDITS)
  credits: number;

  @Column({ type: 'jsonb', default: {} })
  metadata: Record<string, unknown>;

  /** recorded: settled elsewhere. billed: paid here. needs_review, waived: see the review. */
  @Column({ name: 'billing_status', type: 'varchar', length: 20 })
  billingStatus: BillingStatus;

  /** The part of `credits` that the user's lots did not cover. */
  @Column({ name: 'uncollected_credits', ...CREDITS, default: 0 })
  uncollectedCredits: number;

  /** What the provider charged; null is unknown, never 0. */
  @Column({
    name: 'provider_cost_usd',
    type: 'numeric',
    nullable: true,
    transformer: decimalTransformer,
  })
  providerCostUsd: string | null;

  /** reported: by the caller that recorded it. computed: from the rule it was priced with. */
  @Column({ name: 'provider_cost_source', type: 'varchar', length: 10, nullable: true })
  providerCostSource: 'reported' | 'computed' | null;

  /** The key it was made with, whose limit it counts for. */
  @Column({ name: 'api_key_id', ...CREDITS, nullable: true })
  apiKeyId: number | null;

  /** The caller's id of a charge, unique per user. */
  @Column({ name: 'request_id', type: 'varchar', length: 200, nullable: true })
  requestId: string | null;

  @Column({ name: 'request_hash', type: 'bytea', nullable: true, select: false })
  requestHash: Buffer | null;

  /** The available balance after a charge: what it answered, and answers again. */
  @Column({ name: 'balance_after', ...CREDITS, nullable: true })
  balanceAfter: number | null;

  /** The last decision; all of them are in `usage_reviews`. */
  @Column({ name: 'review_action', type: 'varchar', length: 10, nullable: true })
  reviewAction: ReviewAction | null;

  /** What the reviewer wanted billed instead of the uncollected credits. */
  @Column({ name: 'review_credits', ...CREDITS, nullable: true })
  reviewCredits: number | null;

  @Column({ name: 'reviewed_by', type: 'varchar', length: 64, nullable: true })
  reviewedBy: string | null;

  @Column({ name: 'reviewed_at', type: 'timestamptz', nullable: true })
  reviewedAt: Date | null;

  @Column({ name: 'session_id', type: 'varchar', length: 100, nullable: true })
  sessionId: string | null;

  @Column({ name: 'pricing_rule_id', ...CREDITS, nullable: true })
  pricingRuleId: number | null;

  @Column({ name: 'pricing_source', type: 'varchar', length: 10, nullable: true })
  pricingSource: 'rule' | 'default' | 'fallback' | null;

  /** Counted under `other` in the roll-ups: its user's day had no room for another name. */
  @Column({ name: 'counted_as_other', type: 'boolean', default: false })
  countedAsOther: boolean;
}
