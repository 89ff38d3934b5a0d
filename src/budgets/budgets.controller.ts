import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import { AccountAccess, CurrentCaller } from '../auth/access.decorator.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import type { Caller } from '../common/http/caller.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { IdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { Report } from '../common/http/reports.js';
import {
  BudgetNotFound,
  BudgetOfKey,
  BudgetScopeNotFound,
  BudgetSetByPlatform,
  TooManyBudgets,
} from './budgets.errors.js';
import { BudgetsService } from './budgets.service.js';
import {
  BudgetPeriodsQueryDto,
  BudgetQueryDto,
  BudgetsQueryDto,
  CreateBudgetDto,
  RaiseBudgetDto,
  UpdateBudgetDto,
} from './dto/budgets.requests.js';
import { BudgetDto, BudgetPageDto, BudgetPeriodPageDto } from './dto/budgets.responses.js';

@ApiTags('Budgets')
@Controller('budgets')
export class BudgetsController {
  constructor(private readonly budgets: BudgetsService) {}

  @Post()
  @ApiOperation({
    summary: 'Make a budget of an account',
    description:
      'A hard budget is decided with every hold, its growth and every charge, all together with the balance. It counts from ' +
      'now. What a supervisor or an admin makes, only they can change (`setBy: platform`).',
    operationId: 'createBudget',
  })
  @ApiCreatedResponse({ type: BudgetDto })
  @ApiProblems(AccountNotFound, BudgetScopeNotFound, TooManyBudgets)
  @ApiIdempotent()
  @AccountAccess('manage')
  async create(
    @CurrentAuthor() caller: Author,
    @Body() body: CreateBudgetDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<BudgetDto> {
    const { answer, replayed } = await this.budgets.create(caller, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Get()
  @ApiOperation({
    summary: 'List the budgets of an account, newest first',
    description: 'Plain members of an organisation see those that may apply to them.',
    operationId: 'listBudgets',
  })
  @ApiOkResponse({ type: BudgetPageDto })
  @ApiProblems(AccountNotFound)
  @AccountAccess('own')
  @Report()
  list(@CurrentCaller() caller: Caller, @Query() query: BudgetsQueryDto): Promise<BudgetPageDto> {
    return this.budgets.page(caller, query);
  }

  @Get(':id')
  @ApiOperation({
    summary: 'Get a budget',
    description: 'The budget with what is used and held in its present period.',
    operationId: 'getBudget',
  })
  @ApiOkResponse({ type: BudgetDto })
  @ApiProblems(BudgetNotFound, AccountNotFound)
  @AccountAccess('own')
  one(
    @CurrentCaller() caller: Caller,
    @IdParam() id: number,
    @Query() _query: BudgetQueryDto,
  ): Promise<BudgetDto> {
    return this.budgets.one(caller, id);
  }

  @Get(':id/periods')
  @ApiOperation({
    summary: 'List the periods of a budget, newest first',
    description: 'A period begins with its first call. Of minutes and hours only the newest is kept.',
    operationId: 'listBudgetPeriods',
  })
  @ApiOkResponse({ type: BudgetPeriodPageDto })
  @ApiProblems(BudgetNotFound, AccountNotFound)
  @AccountAccess('own')
  @Report()
  periods(
    @CurrentCaller() caller: Caller,
    @IdParam() id: number,
    @Query() query: BudgetPeriodsQueryDto,
  ): Promise<BudgetPeriodPageDto> {
    return this.budgets.periods(caller, id, query);
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Change a budget',
    description:
      'An amount below what is used and held is allowed: nothing more fits then, and what runs goes on within its hold.',
    operationId: 'updateBudget',
  })
  @ApiOkResponse({ type: BudgetDto })
  @ApiProblems(BudgetNotFound, AccountNotFound, BudgetSetByPlatform, BudgetOfKey)
  @AccountAccess('manage')
  update(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: UpdateBudgetDto,
  ): Promise<BudgetDto> {
    return this.budgets.update(caller, id, body);
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'End a budget',
    description: 'From now on it limits nothing. Its history is kept.',
    operationId: 'deleteBudget',
  })
  @ApiNoContentResponse({ description: 'Done' })
  @ApiProblems(BudgetNotFound, AccountNotFound, BudgetSetByPlatform, BudgetOfKey)
  @AccountAccess('manage')
  remove(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Query() _query: BudgetQueryDto,
  ): Promise<void> {
    return this.budgets.remove(caller, id);
  }

  @Post(':id/raises')
  @ApiOperation({
    summary: 'Raise a budget in its present period only',
    description:
      'Adds to the limit until the period ends, or until the time that is given. The next period has the ' +
      'amount of the budget again.',
    operationId: 'raiseBudget',
  })
  @ApiCreatedResponse({ type: BudgetDto })
  @ApiProblems(
    BudgetNotFound,
    AccountNotFound,
    BudgetSetByPlatform,
    BudgetScopeNotFound,
    BudgetOfKey,
    TooManyBudgets,
  )
  @ApiIdempotent()
  @AccountAccess('manage')
  async raise(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: RaiseBudgetDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<BudgetDto> {
    const { answer, replayed } = await this.budgets.raise(caller, id, body, key);
    markReplayed(response, replayed);
    return answer;
  }
}
