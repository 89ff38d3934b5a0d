import { Column, Entity, ForeignKey, Index, PrimaryColumn } from 'typeorm';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { bigintTransformer } from '../../common/database/transformers.js';
import { CreditBalance } from './credit-balance.entity.js';

/** A lot: credits given at one time, with their own expiry. Written by the SQL functions only. */
@Entity('credit_allocations')
@Index('idx_credit_user_expiry', { synchronize: false })
@Index('idx_credit_open', { synchronize: false })
@Index('idx_credit_open_expiry', { synchronize: false })
@Index('idx_credit_allocation_id', { synchronize: false })
@Index('idx_credit_unannounced', { synchronize: false })
export class CreditAllocation {
  @PrimaryColumn({
    name: 'account_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_credit_allocations',
  })
  @ForeignKey(() => CreditBalance, { name: 'fk_credit_allocations_account' })
  accountId: string;

  @IdentityColumn('pk_credit_allocations')
  id: number;

  @Column({ name: 'total_credits', type: 'bigint', transformer: bigintTransformer })
  totalCredits: number;

  @Column({ name: 'remaining_credits', type: 'bigint', transformer: bigintTransformer })
  remainingCredits: number;

  @Column({ name: 'allocated_by', type: 'varchar', length: 64 })
  allocatedBy: string;

  @Column({ name: 'allocated_at', type: 'timestamptz', default: () => 'now()' })
  allocatedAt: Date;

  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt: Date;

  @Column({ type: 'text', nullable: true })
  notes: string | null;

  @Column({ name: 'revoked_at', type: 'timestamptz', nullable: true })
  revokedAt: Date | null;

  /** Whether credits are left; the condition of the partial indexes. */
  @Column({ name: 'is_open', type: 'boolean', default: true })
  isOpen: boolean;

  /** Whether its expiry was announced by an event. */
  @Column({ name: 'expiry_announced', type: 'boolean', default: false, select: false })
  expiryAnnounced: boolean;
}
