import { Column, Entity, PrimaryColumn } from 'typeorm';
import { bigintTransformer } from '../../common/database/transformers.js';

/** An account's balance, and the lock of its movements. Written by the SQL functions only. */
@Entity('credit_balances')
export class CreditBalance {
  @PrimaryColumn({
    name: 'account_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_credit_balances',
  })
  accountId: string;

  /** Credits in lots, those included that have expired and are not yet written off. */
  @Column({ type: 'bigint', default: 0, transformer: bigintTransformer })
  available: number;

  /** Credits held by active sessions. */
  @Column({ type: 'bigint', default: 0, transformer: bigintTransformer })
  held: number;

  /** No lot with credits expires earlier. */
  @Column({ name: 'next_expiry', type: 'timestamptz', nullable: true })
  nextExpiry: Date | null;

  /** Credits at or below which the account is low; null: the setting. */
  @Column({ name: 'low_threshold', type: 'bigint', nullable: true, transformer: bigintTransformer })
  lowThreshold: number | null;

  /** The state that was emitted last and is not over; null: none. */
  @Column({ name: 'last_event', type: 'varchar', length: 10, nullable: true })
  lastEvent: 'low' | 'exhausted' | null;
}
