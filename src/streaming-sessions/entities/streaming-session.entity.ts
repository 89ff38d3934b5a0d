import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintTransformer, decimalTransformer } from '../../common/database/transformers.js';

const CREDITS = { type: 'bigint', transformer: bigintTransformer } as const;
const PRICE = { type: 'numeric', transformer: decimalTransformer } as const;

/** One stream of an LLM and the credits it holds. Written by the SQL functions only. */
@Entity('streaming_sessions')
@Index('idx_streaming_user_status', { synchronize: false })
@Index('idx_streaming_stale', { synchronize: false })
export class StreamingSession {
  @PrimaryColumn({
    name: 'account_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_streaming_sessions',
  })
  accountId: string;

  @PrimaryColumn({
    name: 'user_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_streaming_sessions',
  })
  userId: string;

  /** The caller's id of the stream, unique per user. */
  @PrimaryColumn({
    name: 'session_id',
    type: 'varchar',
    length: 100,
    primaryKeyConstraintName: 'pk_streaming_sessions',
  })
  sessionId: string;

  @Column(CREDITS)
  id: number;

  @Column({ name: 'model_id', type: 'varchar', length: 100 })
  modelId: string;

  @Column({ name: 'estimated_credits', ...CREDITS })
  estimatedCredits: number;

  /** What the session holds, or held when it ended. */
  @Column({ name: 'allocated_credits', ...CREDITS })
  allocatedCredits: number;

  @Column({ name: 'used_credits', ...CREDITS, default: 0 })
  usedCredits: number;

  /** The part of `usedCredits` that the user's lots did not cover. */
  @Column({ name: 'uncollected_credits', ...CREDITS, default: 0 })
  uncollectedCredits: number;

  /** The most tokens that a progress report has named. */
  @Column({ name: 'tokens_generated', ...CREDITS, default: 0 })
  tokensGenerated: number;

  @Column({ type: 'varchar', length: 20, default: 'active' })
  status: 'active' | 'completed' | 'failed';

  @Column({ name: 'end_reason', type: 'varchar', length: 20, nullable: true })
  endReason: 'finalized' | 'aborted' | 'timeout' | null;

  @Column({ name: 'started_at', type: 'timestamptz' })
  startedAt: Date;

  /** End of the lease: without a sign of life until then the session times out. */
  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt: Date;

  @Column({ name: 'completed_at', type: 'timestamptz', nullable: true })
  completedAt: Date | null;

  /** Whether it was settled after its lease had ended. */
  @Column({ name: 'is_late', type: 'boolean', default: false })
  isLate: boolean;

  /** The estimate as it was given: all tokens, or by class. */
  @Column({ name: 'estimated_tokens', ...CREDITS, nullable: true })
  estimatedTokens: number | null;

  @Column({ name: 'estimated_input_tokens', ...CREDITS, nullable: true })
  estimatedInputTokens: number | null;

  @Column({ name: 'estimated_output_tokens', ...CREDITS, nullable: true })
  estimatedOutputTokens: number | null;

  /** What it was settled with, so that a repeated call can be recognised. */
  @Column({ name: 'final_tokens', ...CREDITS, nullable: true })
  finalTokens: number | null;

  @Column({ name: 'final_input_tokens', ...CREDITS, nullable: true })
  finalInputTokens: number | null;

  @Column({ name: 'final_output_tokens', ...CREDITS, nullable: true })
  finalOutputTokens: number | null;

  @Column({ name: 'final_cached_tokens', ...CREDITS, nullable: true })
  finalCachedTokens: number | null;

  @Column({ name: 'provider_cost_usd', ...PRICE, nullable: true })
  providerCostUsd: string | null;

  /** The price it started with, pinned. */
  @Column({ name: 'pricing_rule_id', ...CREDITS, nullable: true })
  pricingRuleId: number | null;

  @Column({ name: 'pricing_source', type: 'varchar', length: 10 })
  pricingSource: 'rule' | 'default' | 'fallback';

  /** The key it was started with, whose limit it counts for. */
  @Column({ name: 'api_key_id', ...CREDITS, nullable: true })
  apiKeyId: number | null;

  /** Which lots gave how many credits that have not been given back, in the order they were taken. */
  @Column({ name: 'held_lots', type: 'bigint', array: true })
  heldLots: string[];

  @Column({ name: 'held_credits', type: 'bigint', array: true })
  heldCredits: string[];

  /** What was held at the start: what the start answered, and answers again. */
  @Column({ name: 'first_hold', ...CREDITS })
  firstHold: number;

  /** The available balance after the first hold: what the start answered, and answers again. */
  @Column({ name: 'remaining_after_hold', ...CREDITS })
  remainingAfterHold: number;

  /** The usage record written at its end. */
  @Column({ name: 'usage_id', ...CREDITS, nullable: true })
  usageId: number | null;
}
