import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';
import type { KeptEvent } from '../gateway.js';

export const QUARANTINE_REASONS = ['unknown_user', 'not_understood', 'refused'] as const;
export type QuarantineReason = (typeof QUARANTINE_REASONS)[number];

/** A gateway's usage event that could not be charged when it came. It is kept without its contents. */
@Entity('usage_quarantine')
export class UsageQuarantine {
  @PrimaryColumn(BIGINT)
  id: number;

  /** The gateway it came from. */
  @Column({ type: 'varchar' })
  source: string;

  /** SHA-256 in hexadecimal: the same event is kept once, however often it is sent. */
  @Column({ type: 'varchar' })
  fingerprint: string;

  /** The user it names; null: none. */
  @Column({ name: 'claimed_user', type: 'varchar', nullable: true })
  claimedUser: string | null;

  @Column({ type: 'varchar' })
  reason: QuarantineReason;

  @Column({ type: 'varchar', nullable: true })
  detail: string | null;

  @Column({ type: 'jsonb' })
  event: KeptEvent;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  /** When it was last replayed; the one not tried for longest is next. */
  @Column({ name: 'attempted_at', type: 'timestamptz', nullable: true })
  attemptedAt: Date | null;

  @Column({ name: 'resolved_at', type: 'timestamptz', nullable: true })
  resolvedAt: Date | null;
}
