import { DecimalField, IdField, MODEL_ID_LENGTH, TimeField, Together } from '../../common/http/validators.js';

const price = (description: string, example?: string, required = false) =>
  DecimalField({
    description: `${description}, credits per 1,000 tokens, at most 1,000,000`,
    example,
    required,
    integerDigits: 7,
    maximum: '1000000',
  });
const cost = (description: string) =>
  DecimalField({
    description: `${description}, USD per 1,000 tokens, at most 1,000,000`,
    required: false,
    integerDigits: 7,
    maximum: '1000000',
  });

export const PERIOD_PROBLEM = 'must be later than effectiveFrom and than now';

export class CreatePricingRuleDto {
  @IdField(MODEL_ID_LENGTH, { description: 'The model', example: 'anthropic.claude-3-sonnet-20240229-v1:0' })
  modelId: string;

  @price('Blended price', '3', true)
  pricePerThousandTokens: string;

  @price('Price of input; without it the blended price', '2.5')
  pricePerThousandInputTokens?: string;

  @price('Price of output; without it the blended price', '12.5')
  pricePerThousandOutputTokens?: string;

  @price('Price of cached input; without it the price of input', '0.25')
  pricePerThousandCachedInputTokens?: string;

  @cost('What the provider charges, blended')
  providerCostPerThousandTokens?: string;

  @cost('What the provider charges for input')
  providerCostPerThousandInputTokens?: string;

  @cost('What the provider charges for output')
  providerCostPerThousandOutputTokens?: string;

  @cost('What the provider charges for cached input')
  providerCostPerThousandCachedInputTokens?: string;

  @TimeField({
    description: 'From when it applies; now, when left out. Not in the past: history does not change',
    example: '2030-01-01T00:00:00Z',
    required: false,
  })
  effectiveFrom?: string;

  @TimeField({
    description: 'Until when it applies, this instant excluded; for ever, when left out',
    example: '2031-01-01T00:00:00Z',
    required: false,
  })
  @Together('period', ({ effectiveFrom, effectiveTo }: CreatePricingRuleDto) => {
    if (effectiveTo === undefined) return undefined;
    const start = effectiveFrom === undefined ? Date.now() : Date.parse(effectiveFrom);
    return Date.parse(effectiveTo) > start ? undefined : PERIOD_PROBLEM;
  })
  effectiveTo?: string;
}
