import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT, DECIMAL } from '../../common/database/transformers.js';
import type { Component, PriceClass, ServiceTier } from '../price-classes.js';

/** One price of a rule. Written with its rule and never changed. */
@Entity('price_components')
export class PriceComponent implements Component {
  @PrimaryColumn({ name: 'rule_id', ...BIGINT })
  ruleId: number;

  @PrimaryColumn({ type: 'varchar' })
  class: PriceClass;

  @PrimaryColumn({ name: 'service_tier', type: 'varchar' })
  serviceTier: ServiceTier;

  @PrimaryColumn({ name: 'context_above', ...BIGINT })
  contextAbove: number;

  /** Credits for one unit of the class: a decimal string. */
  @Column(DECIMAL)
  price: string;

  /** What the provider charges for it in USD; null: unknown. */
  @Column({ ...DECIMAL, nullable: true })
  cost: string | null;
}
