import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

/** A user as the authentication service's tokens describe them. */
@Entity('user_accounts')
@Index('idx_user_accounts_search_id', { synchronize: false })
@Index('idx_user_accounts_search_name', { synchronize: false })
@Index('idx_user_accounts_search_email', { synchronize: false })
@Unique('uq_user_accounts_email', ['email'])
@Check('ck_user_accounts_role', `role IN ('user', 'supervisor', 'admin')`)
export class UserAccount {
  /** The token's `sub`. */
  @PrimaryColumn({
    name: 'user_id',
    type: 'varchar',
    length: 50,
    primaryKeyConstraintName: 'pk_user_accounts',
  })
  userId: string;

  /** Null until a token names it: an allocation may create the account. */
  @Column({ type: 'varchar', length: 255, nullable: true })
  email: string | null;

  @Column({ type: 'varchar', length: 100 })
  username: string;

  /** The role of the last token seen; what a caller may do is decided by the token at hand, never by this. */
  @Column({ type: 'varchar', length: 50, default: 'user' })
  role: string;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt: Date;

  @Column({ name: 'updated_at', type: 'timestamptz', default: () => 'now()' })
  updatedAt: Date;
}
