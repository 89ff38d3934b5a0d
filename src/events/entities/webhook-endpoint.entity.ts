import { Column, DeleteDateColumn, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';
import type { EventType } from '../event-types.js';

export const DISABLED_REASONS = ['failing', 'gone'] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

/** Where events are delivered to. */
@Entity('webhook_endpoints')
export class WebhookEndpoint {
  @PrimaryColumn({ ...BIGINT, generated: true })
  id: number;

  @Column({ type: 'varchar' })
  url: string;

  /** Null: all. */
  @Column({ name: 'event_types', type: 'text', array: true, nullable: true })
  eventTypes: EventType[] | null;

  @Column({ type: 'varchar', nullable: true })
  description: string | null;

  @Column({ name: 'is_active', type: 'boolean' })
  isActive: boolean;

  /** When it was switched off because of what it answered; null: it was not. */
  @Column({ name: 'disabled_at', type: 'timestamptz', nullable: true })
  disabledAt: Date | null;

  @Column({ name: 'disabled_reason', type: 'varchar', nullable: true })
  disabledReason: DisabledReason | null;

  /** Since then no query finds it; its deliveries are deleted in parts, and it with the last of them. */
  @DeleteDateColumn({ name: 'deleted_at', type: 'timestamptz', select: false })
  deletedAt: Date | null;

  /** The users up to this one have what waits made due again; null: all. */
  @Column({ name: 'resuming_after', type: 'varchar', nullable: true, select: false })
  resumingAfter: string | null;

  /** Since its last success it has failed; null: it has not. */
  @Column({ name: 'failing_since', type: 'timestamptz', nullable: true })
  failingSince: Date | null;

  /** As `WebhookSecrets` stores it. */
  @Column({ type: 'text', select: false })
  secret: string;

  @Column({ name: 'previous_secret', type: 'text', nullable: true, select: false })
  previousSecret: string | null;

  /** Until then deliveries are signed with the previous secret as well. */
  @Column({ name: 'previous_secret_until', type: 'timestamptz', nullable: true })
  previousSecretUntil: Date | null;

  @Column({ name: 'created_by', type: 'varchar' })
  createdBy: string;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @Column({ name: 'updated_at', type: 'timestamptz' })
  updatedAt: Date;
}
