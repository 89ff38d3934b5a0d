import { DecimalField, IdField, MODEL_ID_LENGTH, TimeField, Together } from '../../common/http/validators.js';

const price = (description: string, example?: string, required = false) =>
  DecimalField({
    description: `${description}. In credits per 1,000 tokens, at most 1,000,000`,
    example,
    required,
    integerDigits: 7,
    maximum: '1000000',
  });
const cost = (description: string) =>
  DecimalField({
    description: `${description}. In USD per 1,000 tokens, at most 1,000,000`,
    required: false,
    integerDigits: 7,
    maximum: '1000000',
  });

export const PERIOD_PROBLEM = 'must be later than effectiveFrom and than now';

export class CreatePricingRuleDto {
  @IdField(MODEL_ID_LENGTH, {
    description: 'The model',
    example: 'anthropic.claude-3-sonnet-20240229-v1:0',
    inPath: true,
  })
  modelId: string;

  @price('Blended price', '3', true)
  pricePerThousandTokens: string;

  @price('Price of input tokens; defaults to the blended price', '2.5')
  pricePerThousandInputTokens?: string;

  @price('Price of output tokens; defaults to the blended price', '12.5')
  pricePerThousandOutputTokens?: string;

  @price('Price of cached input tokens; defaults to the input price', '0.25')
  pricePerThousandCachedInputTokens?: string;

  @cost('Blended provider cost')
  providerCostPerThousandTokens?: string;

  @cost('Provider cost of input tokens')
  providerCostPerThousandInputTokens?: string;

  @cost('Provider cost of output tokens')
  providerCostPerThousandOutputTokens?: string;

  @cost('Provider cost of cached input tokens')
  providerCostPerThousandCachedInputTokens?: string;

  @TimeField({
    description:
      'When the rule begins; defaults to now. It must not be in the past, because past prices do not ' +
      'change',
    example: '2030-01-01T00:00:00Z',
    required: false,
  })
  effectiveFrom?: string;

  @TimeField({
    description: 'When the rule ends, exclusive; by default it has no end',
    example: '2031-01-01T00:00:00Z',
    required: false,
  })
  @Together('period', ({ effectiveFrom, effectiveTo }: CreatePricingRuleDto) => {
    // Whether it is over is for the service to say: a repeated request is, and gets its first answer.
    if (effectiveTo === undefined || effectiveFrom === undefined) return undefined;
    return Date.parse(effectiveTo) > Date.parse(effectiveFrom) ? undefined : PERIOD_PROBLEM;
  })
  effectiveTo?: string;
}
