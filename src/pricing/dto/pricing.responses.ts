import { ApiProperty } from '@nestjs/swagger';
import type { PricingRule } from '../entities/pricing-rule.entity.js';
import { PRICING_SOURCES, type PricingSource } from '../price.js';
import {
  CLASS_NAMES,
  type PriceClass,
  SERVICE_TIERS,
  type ServiceTier,
  type Unit,
  UNITS,
} from '../price-classes.js';

const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const optionalDecimal = (description: string) =>
  ({ type: 'string', nullable: true, description, example: null }) as const;

export class PriceComponentDto {
  @ApiProperty({ enum: CLASS_NAMES, enumName: 'PriceClass', description: 'What is priced', example: 'input' })
  class: PriceClass;
  @ApiProperty({
    enum: UNITS,
    enumName: 'PriceUnit',
    description: 'What the price is for one of',
    example: 'token',
  })
  unit: Unit;
  @ApiProperty({ enum: SERVICE_TIERS, enumName: 'ServiceTier', example: 'standard' })
  serviceTier: ServiceTier;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 0,
    description: 'The price applies to calls whose prompt has more tokens than this',
    example: 0,
  })
  contextAbove: number;
  @ApiProperty({ description: 'Credits for one unit', example: '0.0025' })
  price: string;
  @ApiProperty(optionalDecimal('What the provider charges for one unit, in USD; null if unknown'))
  providerCostUsd: string | null;
}

/** What a rule says of prices and provider costs. */
export class RulePricesDto {
  @ApiProperty({
    ...optionalDecimal('Blended price in credits per 1,000 tokens; null if the rule prices no text tokens'),
    example: '3',
  })
  pricePerThousandTokens: string | null;
  @ApiProperty(optionalDecimal('Price of input tokens; null if the blended price applies'))
  pricePerThousandInputTokens: string | null;
  @ApiProperty(optionalDecimal('Price of output tokens; null if the blended price applies'))
  pricePerThousandOutputTokens: string | null;
  @ApiProperty(optionalDecimal('Price of cached input tokens; null if the input price applies'))
  pricePerThousandCachedInputTokens: string | null;
  @ApiProperty(optionalDecimal('Blended provider cost in USD per 1,000 tokens; null if unknown'))
  providerCostPerThousandTokens: string | null;
  @ApiProperty(optionalDecimal('Provider cost of input tokens; null if unknown'))
  providerCostPerThousandInputTokens: string | null;
  @ApiProperty(optionalDecimal('Provider cost of output tokens; null if unknown'))
  providerCostPerThousandOutputTokens: string | null;
  @ApiProperty(optionalDecimal('Provider cost of cached input tokens; null if unknown'))
  providerCostPerThousandCachedInputTokens: string | null;
  @ApiProperty({
    type: () => [PriceComponentDto],
    description: 'Every price of the rule, those of the short form above included',
  })
  components: PriceComponentDto[];
}

export class PricingRuleDto extends RulePricesDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, example: 1 }) id: number;
  @ApiProperty({
    description: 'The model, or with `*` at its end all models whose id begins so',
    example: MODEL,
  })
  modelId: string;
  @ApiProperty({
    enum: PRICING_SOURCES,
    enumName: 'PricingSource',
    description:
      '`rule`: made by an admin; `default`: the built-in price of a model; `fallback`: the built-in price of all ' +
      'models that have no other',
    example: 'rule',
  })
  source: PricingSource;
  @ApiProperty({ ...TIME, description: 'The time from which the rule applies' }) effectiveFrom: string;
  @ApiProperty({
    ...TIME,
    nullable: true,
    example: null,
    description: 'The time at which the rule ends, exclusive; null if it has no end',
  })
  effectiveTo: string | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Who created the rule; null if it is built in',
    example: 'root',
  })
  createdBy: string | null;

  /** @param prices what the rule's components say */
  static from(rule: Omit<PricingRule, 'components' | 'supersededBy'>, prices: RulePricesDto): PricingRuleDto {
    return {
      id: rule.id,
      modelId: rule.modelId,
      source: rule.source,
      ...prices,
      effectiveFrom: rule.effectiveFrom.toISOString(),
      effectiveTo: rule.effectiveTo?.toISOString() ?? null,
      createdBy: rule.createdBy,
    };
  }
}

export class PricingPageDto {
  @ApiProperty({ type: () => [PricingRuleDto], description: 'Rules in the order of their creation' })
  items: PricingRuleDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}

export class ModelPricingDto {
  @ApiProperty({
    type: () => PricingRuleDto,
    nullable: true,
    description: 'The rule in force now; null if there is none',
  })
  current: PricingRuleDto | null;
  @ApiProperty({
    type: () => [PricingRuleDto],
    description: 'The next 200 rules that have not begun, earliest first',
  })
  upcoming: PricingRuleDto[];
  @ApiProperty({
    type: () => [PricingRuleDto],
    description: 'The last 200 rules that have ended, most recent first',
  })
  history: PricingRuleDto[];
}
