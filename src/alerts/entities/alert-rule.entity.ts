import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';
import type { EventType } from '../../events/event-types.js';

export const ALERT_CHANNELS = ['email', 'slack'] as const;
export type AlertChannel = (typeof ALERT_CHANNELS)[number];

/** Which events people get alerts of, how, and when. */
@Entity('alert_rules')
export class AlertRule {
  @PrimaryColumn({ ...BIGINT, generated: true })
  id: number;

  @Column({ type: 'varchar' })
  name: string;

  @Column({ type: 'varchar' })
  channel: AlertChannel;

  /** Of e-mail; null for another channel. */
  @Column({ type: 'text', array: true, nullable: true })
  recipients: string[] | null;

  /** Of Slack, as `WebhookSecrets` stores it: anyone who knows the URL can write there. */
  @Column({ type: 'text', nullable: true })
  url: string | null;

  /** Null: all. */
  @Column({ name: 'event_types', type: 'text', array: true, nullable: true })
  eventTypes: EventType[] | null;

  /** Null: every account. */
  @Column({ name: 'account_id', type: 'varchar', nullable: true })
  accountId: string | null;

  @Column({ name: 'time_zone', type: 'varchar' })
  timeZone: string;

  /** `HH:MM`; null: never quiet. The end may be before the beginning: then it is of the next day. */
  @Column({ name: 'quiet_from', type: 'varchar', nullable: true })
  quietFrom: string | null;

  @Column({ name: 'quiet_until', type: 'varchar', nullable: true })
  quietUntil: string | null;

  /** How long further events are waited for after the first. */
  @Column({ name: 'group_seconds', type: 'integer' })
  groupSeconds: number;

  @Column({ name: 'is_active', type: 'boolean' })
  isActive: boolean;

  /** The last event that it has sent, or did not want. */
  @Column({ ...BIGINT, name: 'seen_event_id' })
  seenEventId: number;

  @Column({ name: 'due_at', type: 'timestamptz' })
  dueAt: Date;

  /** Of the instance that sends; after due_at another may. */
  @Column({ type: 'uuid', nullable: true })
  lease: string | null;

  /** Failures since the last success. */
  @Column({ type: 'integer' })
  attempts: number;

  @Column({ name: 'failing_since', type: 'timestamptz', nullable: true })
  failingSince: Date | null;

  @Column({ name: 'last_error', type: 'varchar', nullable: true })
  lastError: string | null;

  @Column({ name: 'last_sent_at', type: 'timestamptz', nullable: true })
  lastSentAt: Date | null;

  @Column({ name: 'created_by', type: 'varchar' })
  createdBy: string;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @Column({ name: 'updated_at', type: 'timestamptz' })
  updatedAt: Date;
}
