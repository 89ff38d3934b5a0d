import { Column, Entity, PrimaryColumn } from 'typeorm';

/** An account that several users spend from. Written by the SQL functions only. */
@Entity('organisations')
export class Organisation {
  /** `org:` and a slug. */
  @PrimaryColumn({ name: 'account_id', type: 'varchar' })
  accountId: string;

  @Column({ type: 'varchar' })
  name: string;

  @Column({ name: 'created_by', type: 'varchar' })
  createdBy: string;

  @Column({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @Column({ name: 'archived_at', type: 'timestamptz', nullable: true })
  archivedAt: Date | null;
}
