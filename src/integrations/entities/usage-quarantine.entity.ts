import { Check, Column, Entity, Index, Unique } from 'typeorm';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { bigintTransformer } from '../../common/database/transformers.js';
import type { ReducedEvent } from '../litellm-event.js';

export const QUARANTINE_REASONS = ['unknown_user', 'not_understood', 'refused'] as const;
export type QuarantineReason = (typeof QUARANTINE_REASONS)[number];

/** A gateway's usage event that could not be charged when it came. It is kept without its contents. */
@Entity('usage_quarantine')
@Unique('uq_usage_quarantine_fingerprint', ['fingerprint'])
@Index('idx_usage_quarantine_open', { synchronize: false })
@Index('idx_usage_quarantine_turn', { synchronize: false })
@Index('idx_usage_quarantine_claimed', { synchronize: false })
@Check('ck_usage_quarantine_fingerprint', `fingerprint ~ '^[0-9a-f]{64}$'`)
@Check('ck_usage_quarantine_reason', `reason IN ('unknown_user', 'not_understood', 'refused')`)
@Check(
  'ck_usage_quarantine_usage',
  '(usage_id IS NULL) = (usage_account_id IS NULL) AND (usage_id IS NULL OR resolved_at IS NOT NULL)',
)
export class UsageQuarantine {
  @IdentityColumn('pk_usage_quarantine')
  id: number;

  /** The gateway it came from. */
  @Column({ type: 'varchar', length: 20 })
  source: string;

  /** SHA-256 in hexadecimal: the same event is kept once, however often it is sent. */
  @Column({ type: 'varchar', length: 64 })
  fingerprint: string;

  /** The user it names; null: none. */
  @Column({ name: 'claimed_user', type: 'varchar', length: 255, nullable: true })
  claimedUser: string | null;

  @Column({ type: 'varchar', length: 20 })
  reason: QuarantineReason;

  @Column({ type: 'varchar', length: 200, nullable: true })
  detail: string | null;

  @Column({ type: 'jsonb' })
  event: ReducedEvent;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt: Date;

  /** When it was last replayed; the one not tried for longest is next. */
  @Column({ name: 'attempted_at', type: 'timestamptz', nullable: true })
  attemptedAt: Date | null;

  @Column({ name: 'resolved_at', type: 'timestamptz', nullable: true })
  resolvedAt: Date | null;

  /** With `usageId`, the record that it has become. */
  @Column({ name: 'usage_account_id', type: 'varchar', length: 50, nullable: true })
  usageUserId: string | null;

  @Column({ name: 'usage_id', type: 'bigint', transformer: bigintTransformer, nullable: true })
  usageId: number | null;
}
