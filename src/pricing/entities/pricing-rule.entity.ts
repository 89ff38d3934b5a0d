import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT } from '../../common/database/transformers.js';
import type { StoredComponents } from '../price-classes.js';
import type { PricingSource } from '../price.js';

/**
 * What a model costs over a half-open period, in its components. A rule never changes, except that its period may end.
 */
@Entity('pricing_rules')
export class PricingRule {
  @PrimaryColumn({ ...BIGINT, generated: true })
  id: number;

  /** A model's id, or what the ids of several begin with and `*`. */
  @Column({ name: 'model_id', type: 'varchar' })
  modelId: string;

  /** `default` and `fallback` are built in. */
  @Column({ type: 'varchar' })
  source: PricingSource;

  @Column({ type: 'jsonb' })
  components: StoredComponents;

  @Column({ name: 'effective_from', type: 'timestamptz' })
  effectiveFrom: Date;

  @Column({ name: 'effective_to', type: 'timestamptz', nullable: true })
  effectiveTo: Date | null;

  /** The later rule that ended this one, so that withdrawing it before it begins reopens this one. */
  @Column({ name: 'superseded_by', ...BIGINT, nullable: true })
  supersededBy: number | null;

  /** null: built in. */
  @Column({ name: 'created_by', type: 'varchar', nullable: true })
  createdBy: string | null;
}
