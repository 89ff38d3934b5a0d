import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn, VirtualColumn } from 'typeorm';
import type { Permission } from '../../auth/caller.js';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { bigintTransformer } from '../../common/database/transformers.js';

const CREDITS = { type: 'bigint', transformer: bigintTransformer } as const;

export const GATEWAYS = ['litellm'] as const;
export type Gateway = (typeof GATEWAYS)[number];

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
@Index('idx_api_keys_id', { synchronize: false })
@Index('idx_api_keys_gateway_due', { synchronize: false })
@Index('idx_api_keys_unannounced', { synchronize: false })
@Index('idx_api_keys_unended', { synchronize: false })
@ForeignKey(() => ApiKey, ['accountId', 'budgetKeyId'], ['accountId', 'id'], { name: 'fk_api_keys_budget' })
@Check('ck_api_keys_key', `key ~ '^[0-9a-f]{64}$'`)
@Check(
  'ck_api_keys_permissions',
  `permissions <@ ARRAY['credits:read', 'usage:read', 'usage:write', 'sessions:write', 'pricing:read']`,
)
@Check('ck_api_keys_gateway', `gateway = 'litellm'`)
@Check(
  'ck_api_keys_gateway_state',
  `gateway_state IN ('pending', 'opening', 'live', 'ending', 'failed', 'ended')`,
)
@Check(
  'ck_api_keys_whole',
  `is_active = (revoked_at IS NULL)
   AND (gateway IS NULL) = (gateway_state IS NULL)
   AND (gateway IS NULL) = (gateway_settings IS NULL)
   AND (is_active OR gateway_state NOT IN ('pending', 'opening', 'live'))
   AND (gateway_due_at IS NOT NULL OR gateway_state = 'ended' OR (gateway_state = 'live' AND expires_at IS NULL))`,
)
export class ApiKey {
  @PrimaryColumn({ name: 'account_id', type: 'varchar', length: 50, primaryKeyConstraintName: 'pk_api_keys' })
  @ForeignKey('CreditBalance', { name: 'fk_api_keys_account' })
  accountId: string;

  @Column({ name: 'user_id', type: 'varchar', length: 50 })
  userId: string;

  @IdentityColumn('pk_api_keys')
  id: number;

  /** The SHA-256 of the key; the key itself is nowhere. */
  @Column({ type: 'varchar', length: 64, unique: true, select: false })
  key: string;

  /** By what a person recognises the key. */
  @Column({ name: 'key_hint', type: 'varchar', length: 20 })
  keyHint: string;

  @Column({ type: 'varchar', length: 100 })
  name: string;

  @Column({ type: 'text', array: true, default: [] })
  permissions: Permission[];

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
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

  @Column({ name: 'is_active', type: 'boolean', default: true })
  isActive: boolean;

  @Column({ name: 'revoked_at', type: 'timestamptz', nullable: true })
  revokedAt: Date | null;

  /** The most credits that may be spent and held with this key's line; null: no limit. Of the line's first key. */
  @Column({ name: 'credit_limit', ...CREDITS, nullable: true })
  creditLimit: number | null;

  /** Of the line's first key. */
  @Column({ name: 'credits_used', ...CREDITS, default: 0 })
  creditsUsed: number;

  /** Of the line's first key. */
  @Column({ name: 'credits_held', ...CREDITS, default: 0 })
  creditsHeld: number;

  /** The first key of the line, whose row counts for all that rotation has made of it; null: this one. */
  @Column({ name: 'budget_key_id', ...CREDITS, nullable: true })
  budgetKeyId: number | null;

  /** Where else the key works; null: here only. */
  @Column({ type: 'varchar', length: 20, nullable: true })
  gateway: Gateway | null;

  @Column({ name: 'gateway_state', type: 'varchar', length: 10, nullable: true })
  gatewayState: GatewayState | null;

  /** What was asked of the gateway for it. */
  @Column({ name: 'gateway_settings', type: 'jsonb', nullable: true })
  gatewaySettings: GatewaySettings | null;

  /** When the sweeper must look at it; null: never. */
  @Column({ name: 'gateway_due_at', type: 'timestamptz', nullable: true, select: false })
  gatewayDueAt: Date | null;

  /** How often the sweeper has looked since the gateway last answered; the pauses grow with it. */
  @Column({ name: 'gateway_attempts', type: 'integer', default: 0, select: false })
  gatewayAttempts: number;

  /** The expiry for which api_key.expiring was emitted. */
  @Column({ name: 'expiry_announced', type: 'timestamptz', nullable: true, select: false })
  expiryAnnounced: Date | null;

  /** api_key.expired was emitted for expiries up to this one; null: for none. */
  @Column({ name: 'end_announced', type: 'timestamptz', nullable: true, select: false })
  endAnnounced: Date | null;
}
