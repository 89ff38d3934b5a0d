import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';

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
  @PrimaryColumn({ name: 'account_id', type: 'varchar' })
  accountId: string;

  @PrimaryColumn(BIGINT)
  id: number;

  @Column({ type: 'varchar' })
  kind: LedgerKind;

  /** Positive: into the lot. Negative: out of it. 0: a correction that is about no lot. */
  @Column(BIGINT)
  credits: number;

  /** The account's available credits after this entry. */
  @Column({ name: 'balance_after', ...BIGINT })
  balanceAfter: number;

  /** null: a correction that is about no lot. */
  @Column({ name: 'allocation_id', ...BIGINT, nullable: true })
  allocationId: number | null;

  @Column({ name: 'session_id', type: 'varchar', nullable: true })
  sessionId: string | null;

  @Column({ name: 'usage_id', ...BIGINT, nullable: true })
  usageId: number | null;

  /** Who spent; null where a session or a charge is not the cause. */
  @Column({ name: 'user_id', type: 'varchar', nullable: true })
  userId: string | null;

  @Column({ name: 'unit_id', ...BIGINT, nullable: true })
  unitId: number | null;

  @Column({ name: 'api_key_id', ...BIGINT, nullable: true })
  apiKeyId: number | null;

  /** Who did it: a user's id, or `service:…`. */
  @Column({ type: 'varchar' })
  actor: string;

  @Column({ type: 'text', nullable: true })
  notes: string | null;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}
