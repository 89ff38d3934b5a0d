import { Check, Column, Entity, Exclusion, ForeignKey, Index } from 'typeorm';
import { UserAccount } from '../../accounts/entities/user-account.entity.js';
import { IdentityColumn } from '../../common/database/identity-column.js';
import { bigintTransformer, decimalTransformer } from '../../common/database/transformers.js';

const PRICE = { type: 'numeric', transformer: decimalTransformer } as const;

/**
 * The price of a model over a half-open period. Prices are credits per 1,000 tokens, provider costs USD per 1,000
 * tokens, both decimal strings. A rule never changes, except that its period may end.
 */
@Entity('pricing_rules')
@Index('idx_pricing_model_from', { synchronize: false })
@Check(
  'ck_pricing_rules_prices',
  `price_per_1k_tokens BETWEEN 0 AND 1000000
   AND input_price_per_1k_tokens BETWEEN 0 AND 1000000
   AND output_price_per_1k_tokens BETWEEN 0 AND 1000000
   AND cached_input_price_per_1k_tokens BETWEEN 0 AND 1000000
   AND provider_cost_per_1k_tokens >= 0
   AND provider_input_cost_per_1k_tokens >= 0
   AND provider_output_cost_per_1k_tokens >= 0
   AND provider_cached_cost_per_1k_tokens >= 0`,
)
@Check('ck_pricing_rules_period', 'effective_to > effective_from')
@Exclusion(
  'ex_pricing_rules_period',
  'USING gist (model_id WITH =, tstzrange(effective_from, effective_to) WITH &&)',
)
export class PricingRule {
  @IdentityColumn('pk_pricing_rules')
  id: number;

  @Column({ name: 'model_id', type: 'varchar', length: 100 })
  modelId: string;

  /** The blended price, for tokens whose class is unknown and for classes without a price of their own. */
  @Column({ name: 'price_per_1k_tokens', ...PRICE })
  price: string;

  @Column({ name: 'input_price_per_1k_tokens', ...PRICE, nullable: true })
  inputPrice: string | null;

  @Column({ name: 'output_price_per_1k_tokens', ...PRICE, nullable: true })
  outputPrice: string | null;

  @Column({ name: 'cached_input_price_per_1k_tokens', ...PRICE, nullable: true })
  cachedInputPrice: string | null;

  @Column({ name: 'provider_cost_per_1k_tokens', ...PRICE, nullable: true })
  providerCost: string | null;

  @Column({ name: 'provider_input_cost_per_1k_tokens', ...PRICE, nullable: true })
  providerInputCost: string | null;

  @Column({ name: 'provider_output_cost_per_1k_tokens', ...PRICE, nullable: true })
  providerOutputCost: string | null;

  @Column({ name: 'provider_cached_cost_per_1k_tokens', ...PRICE, nullable: true })
  providerCachedCost: string | null;

  @Column({ name: 'effective_from', type: 'timestamptz', default: () => 'now()' })
  effectiveFrom: Date;

  @Column({ name: 'effective_to', type: 'timestamptz', nullable: true })
  effectiveTo: Date | null;

  /** The later rule that ended this one, so that withdrawing it before it begins reopens this one. */
  @Column({ name: 'superseded_by', type: 'bigint', nullable: true, transformer: bigintTransformer })
  supersededBy: number | null;

  @Column({ name: 'created_by', type: 'varchar', length: 50 })
  @ForeignKey(() => UserAccount, { name: 'fk_pricing_rules_creator' })
  createdBy: string;
}
