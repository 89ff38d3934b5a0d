import { Body, Controller, Delete, Get, HttpCode, Post, Query, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiExtraModels,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import { CallerAccess, RoleAccess } from '../auth/access.decorator.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import { LargeBodyTooLarge } from '../common/errors/request-errors.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { PageQueryDto } from '../common/http/page.js';
import { IdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { LongList } from '../common/http/reports.js';
import { ID_PATTERN } from '../common/http/text.js';
import { MODEL_ID_LENGTH } from '../common/http/validators.js';
import { PRICE_MAP_SCHEMA, PriceMapEntryDto, PriceImportQueryDto } from './dto/price-import.requests.js';
import { PriceImportDto } from './dto/price-import.responses.js';
import { CreatePricingRuleDto } from './dto/pricing.requests.js';
import { ModelPricingDto, PricingPageDto, PricingRuleDto } from './dto/pricing.responses.js';
import { ModelIdParam } from './model-id.param.js';
import { MAXIMUM_USD_PER_TOKEN, type PriceMap } from './price-map.js';
import { PriceMapBody } from './price-map.body.js';
import { PricingImportService } from './pricing-import.service.js';
import {
  PricingOverlap,
  PricingRuleBuiltIn,
  PricingRuleEnded,
  PricingRuleNotFound,
} from './pricing.errors.js';
import { HidesProviderCost } from './provider-cost.js';
import { PricingService } from './pricing.service.js';

@ApiTags('Pricing')
@HidesProviderCost()
@Controller('pricing')
export class PricingController {
  constructor(
    private readonly pricing: PricingService,
    private readonly imports: PricingImportService,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List the pricing rules in force',
    description: 'Rules of all models, those that the service was installed with included.',
    operationId: 'listPricing',
  })
  @ApiOkResponse({ type: PricingPageDto })
  @CallerAccess('pricing:read')
  @LongList()
  inForce(@Query() page: PageQueryDto): Promise<PricingPageDto> {
    return this.pricing.inForce(page);
  }

  @Get('*id')
  @ApiOperation({
    summary: 'Get the current, upcoming and past prices of a model',
    description:
      'Rules of this id alone: `current` is null for a model that is priced by a pattern, an alias or the fallback.',
    operationId: 'getModelPricing',
  })
  @ApiParam({
    name: 'id',
    description: 'The model id. It may contain `.`, `:` and `/`, percent-encoded or not',
    schema: { type: 'string', minLength: 1, maxLength: MODEL_ID_LENGTH, pattern: ID_PATTERN },
    example: 'anthropic.claude-3-sonnet-20240229-v1:0',
  })
  @ApiOkResponse({ type: ModelPricingDto })
  @CallerAccess('pricing:read')
  @LongList()
  ofModel(@ModelIdParam() modelId: string): Promise<ModelPricingDto> {
    return this.pricing.ofModel(modelId);
  }

  @Post()
  @ApiOperation({
    summary: 'Set the price of a model',
    description: 'If the model has a rule without an end, that rule ends when the new one begins.',
    operationId: 'createPricingRule',
  })
  @ApiCreatedResponse({ type: PricingRuleDto })
  @ApiProblems(PricingOverlap)
  @ApiIdempotent()
  @RoleAccess('admin')
  async create(
    @CurrentAuthor() caller: Author,
    @Body() body: CreatePricingRuleDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PricingRuleDto> {
    const { answer, replayed } = await this.pricing.create(caller, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Post('import')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Import prices from a catalogue',
    description:
      'Accepts LiteLLM’s `model_prices_and_context_window.json`, whole or in part, up to 10 MB. Prices are read with all ' +
      'their decimals. If a price has changed, the rule in force ends and a new one begins, at the same instant for all ' +
      'models. The new rule ends when the next rule that is already set begins. Importing the same prices again ' +
      'changes nothing. Entries without a price are skipped with a reason, and so are prices above ' +
      `${MAXIMUM_USD_PER_TOKEN} USD per token. A single price that a rule cannot express is named in \`notes\`.`,
    operationId: 'importPricing',
  })
  @ApiExtraModels(PriceMapEntryDto)
  @ApiBody({ schema: PRICE_MAP_SCHEMA })
  @ApiOkResponse({
    type: PriceImportDto,
    description: 'The changes that were made or, with `dryRun`, would be made',
  })
  @ApiProblems(LargeBodyTooLarge)
  @ApiIdempotent()
  @RoleAccess('admin')
  async import(
    @CurrentAuthor() caller: Author,
    @PriceMapBody() map: PriceMap,
    @Query() query: PriceImportQueryDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PriceImportDto> {
    const { answer, replayed } = await this.imports.import(caller, map, query, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'End or remove a pricing rule',
    description:
      'A rule that has not begun is removed. A rule in force ends now. A rule that has already ended ' +
      'cannot be changed (409).',
    operationId: 'deletePricingRule',
  })
  @ApiNoContentResponse({ description: 'Done' })
  @ApiProblems(PricingRuleNotFound, PricingRuleBuiltIn, PricingRuleEnded)
  @RoleAccess('admin')
  remove(@CurrentAuthor() caller: Author, @IdParam() id: number): Promise<void> {
    return this.pricing.remove(caller, id);
  }
}
