import { Column, Entity, PrimaryColumn } from 'typeorm';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { bigintTransformer } from '../../common/database/transformers.js';

export const LEDGER_KINDS = [
  'allocation',
  'hold',
  'refund',
  'charge',
  'deduction',
  'revocation',
  'expiry',
  'correction',
] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

/** One change of one lot. Append-only: the database refuses UPDATE, DELETE and TRUNCATE. */
@Entity('credit_ledger')
export class LedgerEntry {
  @PrimaryColumn({
    name: 'account_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_credit_ledger',
  })
  accountId: string;

  /** Who spent, where a session or a charge is the cause. */
  @Column({ name: 'user_id', type: 'varchar', length: 50, nullable: true })
  userId: string | null;

  @IdentityColumn('pk_credit_ledger')
  id: number;

  @Column({ type: 'varchar', length: 20 })
  kind: LedgerKind;

  /** Positive: into the lot. Negative: out of it. 0: a correction that is about no lot. */
  @Column({ type: 'bigint', transformer: bigintTransformer })
  credits: number;

  /** The user's available credits after this entry. */
  @Column({ name: 'balance_after', type: 'bigint', transformer: bigintTransformer })
  balanceAfter: number;

  /** null: a correction that is about no lot. */
  @Column({ name: 'allocation_id', type: 'bigint', nullable: true, transformer: bigintTransformer })
  allocationId: number | null;

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
