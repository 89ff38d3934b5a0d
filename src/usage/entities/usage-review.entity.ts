import { Check, Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import { bigintTransformer } from '../../common/database/transformers.js';
import { type ReviewAction, UsageRecord } from './usage-record.entity.js';

const CREDITS = { type: 'bigint', transformer: bigintTransformer } as const;
const KEY = { primaryKeyConstraintName: 'pk_usage_reviews' } as const;

/** One decision about a usage record. Append-only: the database refuses UPDATE, DELETE and TRUNCATE. */
@Entity('usage_reviews')
@ForeignKey(() => UsageRecord, ['accountId', 'usageId'], ['accountId', 'id'], {
  name: 'fk_usage_reviews_record',
})
@Check('ck_usage_reviews_whole', `version > 0 AND (action = 'bill' OR billed_credits = 0)`)
export class UsageReview {
  @PrimaryColumn({ name: 'account_id', type: 'varchar', length: 50, ...KEY })
  accountId: string;

  @PrimaryColumn({ name: 'usage_id', ...CREDITS, ...KEY })
  usageId: number;

  /** The version of the record that was decided on. */
  @PrimaryColumn({ type: 'integer', ...KEY })
  version: number;

  @Column({ type: 'varchar', length: 10 })
  action: ReviewAction;

  /** What was decided on: the credits that were open. */
  @Column({ name: 'uncollected_credits', ...CREDITS })
  uncollectedCredits: number;

  /** What the decision took; what it let go is the difference. */
  @Column({ name: 'billed_credits', ...CREDITS })
  billedCredits: number;

  @Column({ name: 'decided_by', type: 'varchar', length: 64 })
  decidedBy: string;

  @Column({ name: 'decided_at', type: 'timestamptz' })
  decidedAt: Date;
}
