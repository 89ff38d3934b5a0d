import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintTransformer } from '../../common/database/transformers.js';

/** A lot: credits given at one time, with their own expiry. Written by the SQL functions only. */
@Entity('credit_allocations')
@Index('idx_credit_user_expiry', ['userId', 'expiresAt'])
@Check('ck_credit_allocations_remaining', 'remaining_credits BETWEEN 0 AND total_credits')
export class CreditAllocation {
  @PrimaryColumn({
    name: 'user_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_credit_allocations',
  })
  userId: string;

  @PrimaryColumn({
    type: 'bigint',
    primaryKeyConstraintName: 'pk_credit_allocations',
    transformer: bigintTransformer,
  })
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
}
