import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { GatewayGroup, GatewayName } from '../../common/gateways.js';
import { BIGINT } from '../../common/database/transformers.js';

/** Which organisation pays for the calls of a gateway's team or organization. */
@Entity('gateway_accounts')
export class GatewayAccount {
  @PrimaryColumn({ ...BIGINT, generated: true })
  id: number;

  @Column({ type: 'varchar' })
  gateway: GatewayName;

  @Column({ type: 'varchar' })
  kind: GatewayGroup['kind'];

  /** The team's or organization's id at the gateway. */
  @Column({ name: 'external_id', type: 'varchar' })
  externalId: string;

  @Column({ name: 'account_id', type: 'varchar' })
  accountId: string;

  /** Whose keys are made in the team; null: those of all members. */
  @Column({ name: 'unit_id', ...BIGINT, nullable: true })
  unitId: number | null;

  @Column({ name: 'set_by', type: 'varchar' })
  setBy: string;

  @Column({ name: 'set_at', type: 'timestamptz', insert: false })
  setAt: Date;

  /** Since when it no longer counts; null: it does. */
  @Column({ name: 'ended_at', type: 'timestamptz', nullable: true })
  endedAt: Date | null;
}
