import { Check, Column, Entity } from 'typeorm';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { EVENT_TYPES, type EventType } from '../event-types.js';

const TYPES = EVENT_TYPES.map((type) => `'${type}'`).join(', ');

export const DISABLED_REASONS = ['failing', 'gone'] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

/** Where events are delivered to. */
@Entity('webhook_endpoints')
@Check('ck_webhook_endpoints_types', `event_types <@ ARRAY[${TYPES}]`)
@Check('ck_webhook_endpoints_reason', `disabled_reason IN ('failing', 'gone')`)
@Check('ck_webhook_endpoints_previous', '(previous_secret IS NULL) = (previous_secret_until IS NULL)')
export class WebhookEndpoint {
  @IdentityColumn('pk_webhook_endpoints')
  id: number;

  @Column({ type: 'varchar', length: 2000 })
  url: string;

  /** Null: all. */
  @Column({ name: 'event_types', type: 'text', array: true, nullable: true })
  eventTypes: EventType[] | null;

  @Column({ type: 'varchar', length: 200, nullable: true })
  description: string | null;

  @Column({ name: 'is_active', type: 'boolean', default: true })
  isActive: boolean;

  /** When it was switched off because of what it answered; null: it was not. */
  @Column({ name: 'disabled_at', type: 'timestamptz', nullable: true })
  disabledAt: Date | null;

  @Column({ name: 'disabled_reason', type: 'varchar', length: 10, nullable: true })
  disabledReason: DisabledReason | null;

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

  @Column({ name: 'created_by', type: 'varchar', length: 50 })
  createdBy: string;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt: Date;

  @Column({ name: 'updated_at', type: 'timestamptz', default: () => 'now()' })
  updatedAt: Date;
}
