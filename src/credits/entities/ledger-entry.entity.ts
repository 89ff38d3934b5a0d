import { Check, Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintTransformer } from '../../common/database/transformers.js';

export const LEDGER_KINDS = [
  'allocation',
  'hold',
  'refund',
  'charge',
  'deduction',
  'revocation',
  'expiry',
] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

/** One change of one lot. Append-only: the database refuses UPDATE, DELETE and TRUNCATE. */
@Entity('credit_ledger')
@Check('ck_credit_ledger_balance', 'balance_after >= 0')
export class LedgerEntry {
  @PrimaryColumn({
    name: 'user_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_credit_ledger',
  })
  userId: string;

  @PrimaryColumn({
    type: 'bigint',
    primaryKeyConstraintName: 'pk_credit_ledger',
    transformer: bigintTransformer,
  })
  id: number;

  @Column({ type: 'varchar', length: 20 })
  kind: LedgerKind;

  /** Positive: into the lot. Negative: out of it. Never 0. */
  @Column({ type: 'bigint', transformer: bigintTransformer })
  credits: number;

  /** The user's available credits after this entry. */
  @Column({ name: 'balance_after', type: 'bigint', transformer: bigintTransformer })
  balanceAfter: number;

  @Column({ name: 'allocation_id', type: 'bigint', transformer: bigintTransformer })
  allocationId: number;

  @Column({ name: 'session_id', type: 'varchar', length: 100, nullable: true })
  sessionId: string | null;

  @Column({ name: 'usage_id', type: 'bigint', nullable: true, transformer: bigintTransformer })
  usageId: number | null;

  /** Who did it: a user's id, or `service:…`. */
  @Column({ type: 'varchar', length: 64 })
  actor: string;

  @Column({ type: 'text', nullable: true })
  notes: string | null;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}
