import { ApiProperty } from '@nestjs/swagger';
import type { PricingRule } from '../entities/pricing-rule.entity.js';

const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const optionalDecimal = (description: string) =>
  ({ type: 'string', nullable: true, description, example: null }) as const;

/** What a rule says of prices and provider costs. */
export class RulePricesDto {
  @ApiProperty({ description: 'Blended price in credits per 1,000 tokens', example: '3' })
  pricePerThousandTokens: string;
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
}

/** The same by the names of the columns' properties. */
export type RulePrices = Pick<
  PricingRule,
  | 'price'
  | 'inputPrice'
  | 'outputPrice'
  | 'cachedInputPrice'
  | 'providerCost'
  | 'providerInputCost'
  | 'providerOutputCost'
  | 'providerCachedCost'
>;

export const rulePrices = (rule: RulePrices): RulePricesDto => ({
  pricePerThousandTokens: rule.price,
  pricePerThousandInputTokens: rule.inputPrice,
  pricePerThousandOutputTokens: rule.outputPrice,
  pricePerThousandCachedInputTokens: rule.cachedInputPrice,
  providerCostPerThousandTokens: rule.providerCost,
  providerCostPerThousandInputTokens: rule.providerInputCost,
  providerCostPerThousandOutputTokens: rule.providerOutputCost,
  providerCostPerThousandCachedInputTokens: rule.providerCachedCost,
});

export class PricingRuleDto extends RulePricesDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, example: 1 }) id: number;
  @ApiProperty({ example: MODEL }) modelId: string;
  @ApiProperty({ ...TIME, description: 'The time from which the rule applies' }) effectiveFrom: string;
  @ApiProperty({
    ...TIME,
    nullable: true,
    example: null,
    description: 'The time at which the rule ends, exclusive; null if it has no end',
  })
  effectiveTo: string | null;
  @ApiProperty({ description: 'Who created the rule', example: 'root' }) createdBy: string;

  static from(rule: PricingRule): PricingRuleDto {
    return {
      id: rule.id,
      modelId: rule.modelId,
      ...rulePrices(rule),
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
