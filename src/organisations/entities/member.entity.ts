import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';

export const MEMBER_ROLES = ['owner', 'admin', 'billing', 'member'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

/** A user of an organisation, also before their first token. Written by the SQL functions only. */
@Entity('members')
export class Member {
  @PrimaryColumn({ name: 'account_id', type: 'varchar' })
  accountId: string;

  @PrimaryColumn({ name: 'user_id', type: 'varchar' })
  userId: string;

  @Column({ type: 'varchar' })
  role: MemberRole;

  @Column({ name: 'unit_id', ...BIGINT, nullable: true })
  unitId: number | null;

  @Column({ name: 'added_by', type: 'varchar' })
  addedBy: string;

  @Column({ name: 'added_at', type: 'timestamptz' })
  addedAt: Date;
}
