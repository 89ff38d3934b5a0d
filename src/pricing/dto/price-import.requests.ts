import {
  BooleanQuery,
  DecimalField,
  IntegerQuery,
  TextField,
  Together,
} from '../../common/http/validators.js';
import { MODELS_LENGTH, modelsProblem } from '../model-filter.js';

const MAXIMUM_MARKUP = '100';
const MAXIMUM_CREDITS_PER_USD = 1_000_000_000;

/** `?markup=&creditsPerUsd=&models=&dryRun=&includeFree=` */
export class PriceImportQueryDto {
  @DecimalField({
    description: `What the users’ price is, times the provider’s; more than 0, at most ${MAXIMUM_MARKUP}. Default 1`,
    example: '1.2',
    required: false,
    integerDigits: 3,
    inQuery: true,
    maximum: MAXIMUM_MARKUP,
  })
  @Together('markup', ({ markup }: PriceImportQueryDto) =>
    /[1-9]/.test(markup) ? undefined : 'must be more than 0: it would make every model free',
  )
  markup: string = '1';

  @IntegerQuery(1, MAXIMUM_CREDITS_PER_USD, {
    description: 'Credits for one USD; CREDITS_PER_USD, when left out',
    example: 1000,
  })
  creditsPerUsd?: number;

  @TextField(MODELS_LENGTH, {
    description:
      'Only the models that match: patterns between commas, `*` for any text and `?` for any one character, slashes included',
    example: 'gpt-4o*,claude-?-opus*',
    required: false,
    minimumLength: 1,
  })
  @Together('models', ({ models }: PriceImportQueryDto) => modelsProblem(models))
  models?: string;

  @BooleanQuery({
    description: 'Reports what would change and changes nothing',
    example: true,
    default: false,
  })
  dryRun: boolean = false;

  @BooleanQuery({
    description:
      'Treats a price of 0 as free. Without it such prices are skipped: the map has 0 for free and for unknown alike',
    example: false,
    default: false,
  })
  includeFree: boolean = false;
}

const usdPerToken = (description: string) =>
  ({ type: 'number', minimum: 0, nullable: true, description: `USD per token of ${description}` }) as const;

/** The body: LiteLLM's map as far as it is read here. It has no class: its fields are the models' ids. */
export const PRICE_MAP_SCHEMA = {
  type: 'object' as const,
  description: 'Model id → what LiteLLM knows of the model; fields that are not named here are not read',
  additionalProperties: {
    type: 'object' as const,
    properties: {
      mode: { type: 'string' as const, description: 'What the model does' },
      input_cost_per_token: usdPerToken('input'),
      output_cost_per_token: usdPerToken('output'),
      cache_read_input_token_cost: usdPerToken('cached input'),
    },
    additionalProperties: true,
  },
  example: {
    'gpt-4o-mini': {
      mode: 'chat',
      litellm_provider: 'openai',
      input_cost_per_token: 1.5e-7,
      output_cost_per_token: 6e-7,
      cache_read_input_token_cost: 7.5e-8,
    },
  },
};
