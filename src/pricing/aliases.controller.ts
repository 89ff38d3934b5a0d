import { Body, Controller, Delete, Get, HttpCode, Post, Query, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import { CallerAccess, RoleAccess } from '../auth/access.decorator.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { PageQueryDto } from '../common/http/page.js';
import { IdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { LongList } from '../common/http/reports.js';
import { AliasesService } from './aliases.service.js';
import { AliasDto, AliasPageDto, CreateAliasDto } from './dto/aliases.dto.js';
import { AliasExists, AliasNotFound } from './pricing.errors.js';

@ApiTags('Pricing')
@Controller('pricing/aliases')
export class AliasesController {
  constructor(private readonly aliases: AliasesService) {}

  @Get()
  @ApiOperation({
    summary: 'List the aliases of models',
    description: 'An alias gives a model, such as a deployment, the prices of another.',
    operationId: 'listPricingAliases',
  })
  @ApiOkResponse({ type: AliasPageDto })
  @CallerAccess('pricing:read')
  @LongList()
  list(@Query() page: PageQueryDto): Promise<AliasPageDto> {
    return this.aliases.list(page);
  }

  @Post()
  @ApiOperation({
    summary: 'Give a model another name',
    description:
      'Calls under the alias cost what the model costs, unless the alias has a pricing rule itself.',
    operationId: 'createPricingAlias',
  })
  @ApiCreatedResponse({ type: AliasDto })
  @ApiProblems(AliasExists)
  @ApiIdempotent()
  @RoleAccess('admin')
  async create(
    @CurrentAuthor() caller: Author,
    @Body() body: CreateAliasDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<AliasDto> {
    const { answer, replayed } = await this.aliases.create(caller, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete an alias',
    description:
      'From now on the alias has the prices of its own name. Sessions that have started keep the price ' +
      'they started with.',
    operationId: 'deletePricingAlias',
  })
  @ApiNoContentResponse({ description: 'Done' })
  @ApiProblems(AliasNotFound)
  @RoleAccess('admin')
  remove(@CurrentAuthor() caller: Author, @IdParam() id: number): Promise<void> {
    return this.aliases.remove(caller, id);
  }
}
