import { Column, Entity, PrimaryColumn, VirtualColumn } from 'typeorm';
import type { Permission } from '../../common/http/caller.js';
import type { GatewayName } from '../../common/gateways.js';
import { BIGINT } from '../../common/database/transformers.js';

/**
 * `pending`: asked of the gateway, which may have it by now, blocked. `opening`: there, and being unblocked. `live`:
 * works on both sides. `ending`: ended here, and not yet at the gateway. `failed`: never worked; it may yet
 * appear at the gateway, blocked, and is looked for. `ended`: no longer at the gateway. In every state but `live`
 * it does not work here.
 */
export type GatewayState = 'pending' | 'opening' | 'live' | 'ending' | 'failed' | 'ended';

/** What the owner asked for at the gateway; null: no limit. */
export interface GatewaySettings {
  models: string[] | null;
  maxBudgetUsd: string | null;
  rpmLimit: number | null;
  tpmLimit: number | null;
}

/** A key of a user for their programs. What is spent with it is written by the SQL functions only. */
@Entity('api_keys')
export class ApiKey {
  @PrimaryColumn({ name: 'account_id', type: 'varchar' })
  accountId: string;

  @PrimaryColumn(BIGINT)
  id: number;

  /** Who made it: in an organisation one of its members. */
  @Column({ name: 'user_id', type: 'varchar' })
  userId: string;

  /** By what a person recognises the key. */
  @Column({ name: 'key_hint', type: 'varchar' })
  keyHint: string;

  @Column({ type: 'varchar' })
  name: string;

  @Column({ type: 'text', array: true })
  permissions: Permission[];

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @Column({ name: 'expires_at', type: 'timestamptz', nullable: true })
  expiresAt: Date | null;

  /** Until it expires, by the database's clock when the row was read; negative: since it has; null: never. */
  @VirtualColumn({
    type: 'double precision',
    query: (key) => `SELECT extract(epoch FROM ${key}.expires_at - clock_timestamp())::float8`,
  })
  secondsLeft: number | null;

  /** To the minute. */
  @Column({ name: 'last_used', type: 'timestamptz', nullable: true })
  lastUsed: Date | null;

  @Column({ name: 'is_active', type: 'boolean' })
  isActive: boolean;

  @Column({ name: 'revoked_at', type: 'timestamptz', nullable: true })
  revokedAt: Date | null;

  /** The first key of the line, whose budgets count all that rotation has made of it; null: this one. */
  @Column({ name: 'budget_key_id', ...BIGINT, nullable: true })
  budgetKeyId: number | null;

  /** Where else the key works; null: here only. */
  @Column({ type: 'varchar', nullable: true })
  gateway: GatewayName | null;

  @Column({ name: 'gateway_state', type: 'varchar', nullable: true })
  gatewayState: GatewayState | null;

  /** What was asked of the gateway for it. */
  @Column({ name: 'gateway_settings', type: 'jsonb', nullable: true })
  gatewaySettings: GatewaySettings | null;

  /** When the sweeper must look at it; null: never. */
  @Column({ name: 'gateway_due_at', type: 'timestamptz', nullable: true, select: false })
  gatewayDueAt: Date | null;

  /** How often the sweeper has looked since the gateway last answered; the pauses grow with it. */
  @Column({ name: 'gateway_attempts', type: 'integer', select: false })
  gatewayAttempts: number;
}
