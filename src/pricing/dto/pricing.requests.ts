import { ApiExtension } from '@nestjs/swagger';
import { FORMS } from '../../common/http/openapi-schemas.js';
import {
  DecimalField,
  EnumField,
  IdField,
  IntegerField,
  ListField,
  MAXIMUM_TOKENS,
  MODEL_ID_LENGTH,
  TimeField,
  Together,
} from '../../common/http/validators.js';
import { componentsProblem } from '../components.js';
import {
  CLASS_NAMES,
  MAXIMUM_COMPONENTS,
  PRICE_CLASSES,
  type PriceClass,
  SERVICE_TIERS,
  type ServiceTier,
} from '../price-classes.js';

/** The same as the 1,000,000 of the short form, which are for 1,000 tokens. */
const MAXIMUM_PER_TOKEN = 1000;

const price = (description: string, example?: string) =>
  DecimalField({
    description: `${description}. In credits per 1,000 tokens, at most 1,000,000`,
    example,
    required: false,
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

/** One price: of a class of what calls use, for a service tier, and for prompts of more than some size. */
export class ComponentRequestDto {
  @EnumField('PriceClass', CLASS_NAMES, { description: 'What is priced', example: 'cache_write_1h' })
  class: PriceClass;

  @EnumField('ServiceTier', SERVICE_TIERS, {
    description: 'The service tier; defaults to `standard`',
    example: 'standard',
    required: false,
  })
  serviceTier?: ServiceTier;

  @IntegerField(0, MAXIMUM_TOKENS, {
    description: 'The price applies to calls whose prompt has more tokens than this; by default to all',
    example: 0,
    required: false,
  })
  contextAbove?: number;

  @DecimalField({
    description:
      'In credits for one unit of the class (a token, an image, a second …), at most 1,000,000, and 1,000 for a token',
    example: '0.006',
    integerDigits: 7,
    maximum: '1000000',
  })
  @Together('tokenPrice', ({ class: name, price }: ComponentRequestDto) =>
    PRICE_CLASSES[name] === 'token' && Number(price) > MAXIMUM_PER_TOKEN
      ? `must be at most ${MAXIMUM_PER_TOKEN} for one token`
      : undefined,
  )
  price: string;

  @DecimalField({
    description: 'What the provider charges for one unit, in USD; by default it is unknown',
    example: '0.000006',
    required: false,
    integerDigits: 7,
    maximum: '1000000',
  })
  providerCostUsd?: string;
}

@ApiExtension(FORMS, [
  { required: ['pricePerThousandTokens'], optional: ['components'] },
  { required: ['components'] },
])
export class CreatePricingRuleDto {
  @IdField(MODEL_ID_LENGTH, {
    description: 'The model, or with `*` at its end all models whose id begins so',
    example: 'anthropic.claude-3-sonnet-20240229-v1:0',
    inPath: true,
  })
  modelId: string;

  @price('Blended price, for tokens whose class is unknown or has no price of its own', '3')
  pricePerThousandTokens?: string;

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

  @ListField(ComponentRequestDto, MAXIMUM_COMPONENTS, {
    description: 'Prices of other classes, service tiers and sizes of prompts',
    required: false,
  })
  @Together('components', componentsProblem)
  components?: ComponentRequestDto[];

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
