import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { UserAccount } from '../../accounts/entities/user-account.entity.js';
import type { Permission } from '../../auth/caller.js';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { bigintTransformer } from '../../common/database/transformers.js';

const CREDITS = { type: 'bigint', transformer: bigintTransformer } as const;

/** A key of a user for their programs. What is spent with it is written by the SQL functions only. */
@Entity('api_keys')
@Index('idx_api_keys_id', { synchronize: false })
@ForeignKey(() => ApiKey, ['userId', 'budgetKeyId'], ['userId', 'id'], { name: 'fk_api_keys_budget' })
@Check('ck_api_keys_key', `key ~ '^[0-9a-f]{64}$'`)
@Check(
  'ck_api_keys_permissions',
  `permissions <@ ARRAY['credits:read', 'usage:read', 'usage:write', 'sessions:write', 'pricing:read']`,
)
@Check('ck_api_keys_limit', 'credit_limit >= 0')
@Check('ck_api_keys_used', 'credits_used >= 0')
@Check('ck_api_keys_held', 'credits_held >= 0')
@Check('ck_api_keys_revoked', 'is_active = (revoked_at IS NULL)')
export class ApiKey {
  @PrimaryColumn({ name: 'user_id', type: 'varchar', length: 50, primaryKeyConstraintName: 'pk_api_keys' })
  @ForeignKey(() => UserAccount, { name: 'fk_api_keys_user' })
  userId: string;

  @IdentityColumn('pk_api_keys')
  id: number;

  /** The SHA-256 of the key; the key itself is nowhere. */
  @Column({ type: 'varchar', length: 64, unique: true, select: false })
  key: string;

  /** What tells a person which key it is. */
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
}
