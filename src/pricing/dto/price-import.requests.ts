import { ApiExtension, ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { FOREIGN } from '../../common/http/openapi-schemas.js';
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
    description: `Factor that turns provider prices into user prices: more than 0, at most ${MAXIMUM_MARKUP}. With 1.2, users pay 20 % more than the provider charges. Default 1`,
    example: '1.2',
    required: false,
    integerDigits: 3,
    inQuery: true,
    maximum: MAXIMUM_MARKUP,
  })
  @Together('markup', ({ markup }: PriceImportQueryDto) =>
    /^0+(\.0+)?$/.test(markup) ? 'must be more than 0: it would make every model free' : undefined,
  )
  markup: string = '1';

  @IntegerQuery(1, MAXIMUM_CREDITS_PER_USD, {
    description: 'Credits per USD; defaults to CREDITS_PER_USD',
    example: 1000,
  })
  creditsPerUsd?: number;

  @TextField(MODELS_LENGTH, {
    description:
      'Comma-separated patterns; only models that match one of them are imported. `*` matches any text ' +
      'and `?` any single character, slashes included',
    example: 'gpt-4o*,claude-?-opus*',
    required: false,
    minimumLength: 1,
  })
  @Together('models', ({ models }: PriceImportQueryDto) => modelsProblem(models))
  models?: string;

  @BooleanQuery({
    description: 'Whether to report the changes without making them',
    example: true,
    default: false,
  })
  dryRun: boolean = false;

  @BooleanQuery({
    description:
      'Whether to import prices of 0 as free. By default they are skipped, because the price map uses 0 ' +
      'for both free and unknown prices',
    example: false,
    default: false,
  })
  includeFree: boolean = false;
}

const usdPerToken = (description: string) =>
  ({
    type: 'number',
    minimum: 0,
    nullable: true,
    required: false,
    description: `USD per ${description} token`,
  }) as const;

/** LiteLLM's entry for a model. Every price field is read, of which a few are listed here. */
@ApiExtension(FOREIGN, true)
export class PriceMapEntryDto {
  @ApiProperty({ required: false, description: 'Kind of model, such as `chat` or `embedding`' })
  mode?: string;
  @ApiProperty(usdPerToken('input')) input_cost_per_token?: number | null;
  @ApiProperty(usdPerToken('output')) output_cost_per_token?: number | null;
  @ApiProperty(usdPerToken('cached input')) cache_read_input_token_cost?: number | null;
}

/** The body: LiteLLM's map as far as it is read here. It has no class: its fields are the models' ids. */
export const PRICE_MAP_SCHEMA = {
  type: 'object' as const,
  description:
    'An object that has LiteLLM’s entry for each model under its model id. Every price field is read, of ' +
    'which a few are listed here',
  additionalProperties: { $ref: getSchemaPath(PriceMapEntryDto) },
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
