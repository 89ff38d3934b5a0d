import { Column, Entity, PrimaryColumn } from 'typeorm';
import { BIGINT, DECIMAL } from '../../common/database/transformers.js';

/**
 * The price of a model over a half-open period. Prices are credits per 1,000 tokens, provider costs USD per 1,000
 * tokens, both decimal strings. A rule never changes, except that its period may end.
 */
@Entity('pricing_rules')
export class PricingRule {
  @PrimaryColumn({ ...BIGINT, generated: true })
  id: number;

  @Column({ name: 'model_id', type: 'varchar' })
  modelId: string;

  /** The blended price, for tokens whose class is unknown and for classes without a price of their own. */
  @Column({ name: 'price_per_1k_tokens', ...DECIMAL })
  price: string;

  @Column({ name: 'input_price_per_1k_tokens', ...DECIMAL, nullable: true })
  inputPrice: string | null;

  @Column({ name: 'output_price_per_1k_tokens', ...DECIMAL, nullable: true })
  outputPrice: string | null;

  @Column({ name: 'cached_input_price_per_1k_tokens', ...DECIMAL, nullable: true })
  cachedInputPrice: string | null;

  @Column({ name: 'provider_cost_per_1k_tokens', ...DECIMAL, nullable: true })
  providerCost: string | null;

  @Column({ name: 'provider_input_cost_per_1k_tokens', ...DECIMAL, nullable: true })
  providerInputCost: string | null;

  @Column({ name: 'provider_output_cost_per_1k_tokens', ...DECIMAL, nullable: true })
  providerOutputCost: string | null;

  @Column({ name: 'provider_cached_cost_per_1k_tokens', ...DECIMAL, nullable: true })
  providerCachedCost: string | null;

  @Column({ name: 'effective_from', type: 'timestamptz' })
  effectiveFrom: Date;

  @Column({ name: 'effective_to', type: 'timestamptz', nullable: true })
  effectiveTo: Date | null;

  /** The later rule that ended this one, so that withdrawing it before it begins reopens this one. */
  @Column({ name: 'superseded_by', ...BIGINT, nullable: true })
  supersededBy: number | null;

  @Column({ name: 'created_by', type: 'varchar' })
  createdBy: string;
}
