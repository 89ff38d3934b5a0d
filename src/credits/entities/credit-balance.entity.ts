import { Check, Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import { UserAccount } from '../../accounts/entities/user-account.entity.js';
import { bigintTransformer } from '../../common/database/transformers.js';

/** A user's balance cache and money lock. Written by the SQL functions only. */
@Entity('credit_balances')
@Check('ck_credit_balances_limit', 'available + held <= 9007199254740991')
export class CreditBalance {
  @PrimaryColumn({
    name: 'user_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_credit_balances',
  })
  @ForeignKey(() => UserAccount, { name: 'fk_credit_balances_user' })
  userId: string;

  /** Credits in lots, those included that have expired and are not yet written off. */
  @Column({ type: 'bigint', default: 0, transformer: bigintTransformer })
  available: number;

  /** Credits held by active sessions. */
  @Column({ type: 'bigint', default: 0, transformer: bigintTransformer })
  held: number;

  /** No lot with credits expires earlier. */
  @Column({ name: 'next_expiry', type: 'timestamptz', nullable: true })
  nextExpiry: Date | null;

  /** Credits at which the user's are low; null: the setting. */
  @Column({ name: 'low_threshold', type: 'bigint', nullable: true, transformer: bigintTransformer })
  lowThreshold: number | null;

  /** What an event has told of the user's credits and is not over; null: nothing. */
  @Column({ name: 'told_state', type: 'varchar', length: 10, nullable: true })
  toldState: 'low' | 'exhausted' | null;
}
