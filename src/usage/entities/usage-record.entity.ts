import type { UsageSource } from '../../pricing/call.js';
import type { PriceClass, Quantities, ServiceTier } from '../../pricing/price-classes.js';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT, DECIMAL } from '../../common/database/transformers.js';

export const BILLING_STATUSES = ['recorded', 'billed', 'needs_review', 'waived'] as const;
export type BillingStatus = (typeof BILLING_STATUSES)[number];

export const REVIEW_ACTIONS = ['bill', 'waive'] as const;
export type ReviewAction = (typeof REVIEW_ACTIONS)[number];

/** One finished call. Written by the SQL functions only. */
@Entity('usage_records')
export class UsageRecord {
  @PrimaryColumn({ name: 'account_id', type: 'varchar' })
  accountId: string;

  @Column({ name: 'user_id', type: 'varchar' })
  userId: string;

  @PrimaryColumn(BIGINT)
  id: number;

  /** 1 when the call is recorded, and one more with every correction and every decision of a review. */
  @Column({ type: 'integer' })
  version: number;

  @Column({ type: 'timestamptz' })
  timestamp: Date;

  @Column({ type: 'varchar' })
  service: string;

  @Column({ type: 'varchar' })
  operation: string;

  /** What the call cost, also the part that could not be collected. */
  @Column(BIGINT)
  credits: number;

  @Column({ type: 'jsonb' })
  metadata: Record<string, unknown>;

  /** recorded: settled elsewhere. billed: paid here. needs_review, waived: see the review. */
  @Column({ name: 'billing_status', type: 'varchar' })
  billingStatus: BillingStatus;

  /** The part of `credits` that the user's lots did not cover. */
  @Column({ name: 'uncollected_credits', ...BIGINT })
  uncollectedCredits: number;

  /** What the provider charged; null is unknown, never 0. */
  @Column({ name: 'provider_cost_usd', ...DECIMAL, nullable: true })
  providerCostUsd: string | null;

  /** reported: by the caller that recorded it. computed: from the rule it was priced with. */
  @Column({ name: 'provider_cost_source', type: 'varchar', nullable: true })
  providerCostSource: 'reported' | 'computed' | null;

  /** The key it was made with, whose limit it counts for. */
  @Column({ name: 'api_key_id', ...BIGINT, nullable: true })
  apiKeyId: number | null;

  /** The unit of the organisation that the user belonged to. */
  @Column({ name: 'unit_id', ...BIGINT, nullable: true })
  unitId: number | null;

  @Column({ type: 'jsonb', nullable: true })
  tags: Record<string, string> | null;

  /** The caller's id of a charge, unique in the account. */
  @Column({ name: 'request_id', type: 'varchar', nullable: true })
  requestId: string | null;

  /** The last decision; all of them are in `usage_reviews`. */
  @Column({ name: 'review_action', type: 'varchar', nullable: true })
  reviewAction: ReviewAction | null;

  @Column({ name: 'reviewed_by', type: 'varchar', nullable: true })
  reviewedBy: string | null;

  @Column({ name: 'reviewed_at', type: 'timestamptz', nullable: true })
  reviewedAt: Date | null;

  @Column({ name: 'session_id', type: 'varchar', nullable: true })
  sessionId: string | null;

  @Column({ name: 'pricing_rule_id', ...BIGINT, nullable: true })
  pricingRuleId: number | null;

  @Column({ name: 'pricing_source', type: 'varchar', nullable: true })
  pricingSource: 'rule' | 'default' | 'fallback' | null;

  /** The model, or the pattern of models, of the rule where that is not the operation. */
  @Column({ name: 'priced_as', type: 'varchar', nullable: true })
  pricedAs: string | null;

  /** What the call used, by class; null where no price of ours was asked for. */
  @Column({ type: 'jsonb', nullable: true })
  quantities: Quantities | null;

  /** Where the quantities come from; null: the caller did not say. */
  @Column({ name: 'usage_source', type: 'varchar', nullable: true })
  usageSource: UsageSource | null;

  @Column({ name: 'service_tier', type: 'varchar', nullable: true })
  serviceTier: ServiceTier | null;

  /** The classes that took another class's price, or had none. */
  @Column({ name: 'fallback_classes', type: 'varchar', array: true, nullable: true })
  pricingNotes: PriceClass[] | null;
}
