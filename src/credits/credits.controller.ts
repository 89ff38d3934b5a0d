import { Body, Controller, Get, HttpCode, Inject, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiExtraModels,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { CallerAccess, CurrentCaller, RoleAccess, SelfAccess } from '../auth/access.decorator.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import { type Caller, seenUser } from '../common/http/caller.js';
import { AccountNotFound, ReportTooLong, SumTooLarge } from '../common/errors/service-error.js';
import { sendCsv } from '../common/http/csv-download.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { OwnPageQueryDto, PageQueryDto } from '../common/http/page.js';
import { IdParam, AccountIdParam } from '../common/http/params.js';
import {
  LongList,
  Report,
  reporterOf,
  ReportsBusy,
  TooManyReports,
  wantsCsv,
} from '../common/http/reports.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { UnpricedModel } from '../pricing/pricing.errors.js';
import { HidesProviderCost } from '../pricing/provider-cost.js';
import { CreditsAuditService } from './credits-audit.service.js';
import { CreditsForecastService } from './credits-forecast.service.js';
import {
  AllocationNotFound,
  BalanceLimit,
  EmailTaken,
  InsufficientCredits,
  TooManyAllocations,
} from './credits.errors.js';
import { CreditsService } from './credits.service.js';
import { ForecastDto, ForecastQueryDto, OwnForecastQueryDto } from './dto/forecast.dto.js';
import {
  AllocateCreditsDto,
  CalculateCreditsDto,
  CheckCreditsDto,
  DeductCreditsDto,
  RevokeAllocationDto,
} from './dto/credits.requests.js';
import {
  AllocationDto,
  AuditDto,
  BalanceDto,
  CheckCreditsAnswerDto,
  CreditTotalsDto,
  DeductionDto,
  LedgerPageDto,
  QuoteDto,
} from './dto/credits.responses.js';

const FORECAST =
  'The rate is the average spending per day over the last `windowDays` full UTC days and today, or ' +
  'since the first use if that is more recent. Credits held by active sessions are not available, ' +
  'and count towards the rate only once their session is settled.';

const LEDGER_OR_CSV = ApiOkResponse({
  description:
    'One page as JSON; with `Accept: text/csv`, all entries from the cursor on as CSV, one per line',
  content: {
    'application/json': { schema: { $ref: getSchemaPath(LedgerPageDto) } },
    'text/csv': { schema: { type: 'string' }, example: 'id,createdAt,kind,…\r\n' },
  },
});

@ApiTags('Credits')
@ApiExtraModels(LedgerPageDto)
@Controller('credits')
export class CreditsController {
  constructor(
    private readonly credits: CreditsService,
    private readonly auditService: CreditsAuditService,
    private readonly forecasts: CreditsForecastService,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Get('balance')
  @ApiOperation({
    summary: 'Get your balance with its lots',
    description:
      'Credits that are available and held now, and the lots that they are in, in the order in which they ' +
      'are spent. Lots that have expired do not count. Plain members of an organisation get what they can ' +
      'spend of it, as its budgets allow, without its lots and holds.',
    operationId: 'getBalance',
  })
  @ApiOkResponse({ type: BalanceDto })
  @ApiProblems(AccountNotFound)
  @SelfAccess('credits:read')
  balance(@CurrentCaller() caller: Caller): Promise<BalanceDto> {
    return this.credits.ownBalance(caller);
  }

  @Get('balance/:userId')
  @ApiOperation({
    summary: 'Get a user’s balance with its lots',
    description: 'The same as your own balance, for a user, or for an organisation by its id.',
    operationId: 'getUserBalance',
  })
  @ApiOkResponse({ type: BalanceDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  userBalance(@AccountIdParam() userId: string): Promise<BalanceDto> {
    return this.credits.balance(userId);
  }

  @Post('check')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Check available credits',
    description:
      'A question that reserves nothing: the credits may be spent before a later request. “No” is a 200 ' +
      'too. To reserve credits, start a session.',
    operationId: 'checkCredits',
  })
  @ApiOkResponse({ type: CheckCreditsAnswerDto })
  @ApiProblems(AccountNotFound)
  @SelfAccess('credits:read')
  check(@CurrentCaller() caller: Caller, @Body() body: CheckCreditsDto): Promise<CheckCreditsAnswerDto> {
    return this.credits.check(caller, body.requiredCredits);
  }

  @Post('calculate')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Calculate what a call would cost',
    description:
      'Prices a call by the rule in force now, without charging it. Describe the call by token counts, by ' +
      '`quantities` of each class, or by the provider’s own `usage` object.',
    operationId: 'calculateCredits',
  })
  @ApiOkResponse({ type: QuoteDto })
  @ApiProblems(UnpricedModel)
  @CallerAccess('pricing:read')
  @HidesProviderCost()
  calculate(@Body() body: CalculateCreditsDto): Promise<QuoteDto> {
    return this.credits.calculate(body);
  }

  @Post('allocate')
  @ApiOperation({
    summary: 'Allocate credits to a user',
    description:
      'Makes a lot with an expiry of its own. A user who is not known yet gets an account. A repeated ' +
      'request allocates again, unless it has the same `Idempotency-Key`.',
    operationId: 'allocateCredits',
  })
  @ApiCreatedResponse({ type: AllocationDto })
  @ApiProblems(AccountNotFound, EmailTaken, TooManyAllocations, BalanceLimit)
  @ApiIdempotent()
  @RoleAccess('supervisor')
  async allocate(
    @CurrentAuthor() caller: Author,
    @Body() body: AllocateCreditsDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<AllocationDto> {
    const allocation = await this.credits.allocate(caller, body, key);
    markReplayed(response, allocation.replayed);
    return AllocationDto.from(allocation);
  }

  @Post('deduct')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Deduct credits from a user, starting with those that expire first',
    description:
      'Takes credits out of the lots at once, with a reason for the ledger. It is refused as a whole ' +
      '(402) if the available credits do not cover it.',
    operationId: 'deductCredits',
  })
  @ApiOkResponse({ type: DeductionDto })
  @ApiProblems(AccountNotFound, InsufficientCredits)
  @ApiIdempotent()
  @RoleAccess('admin')
  async deduct(
    @CurrentAuthor() caller: Author,
    @Body() body: DeductCreditsDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<DeductionDto> {
    const deduction = await this.credits.deduct(caller, body, key);
    markReplayed(response, deduction.replayed);
    return DeductionDto.from(deduction);
  }

  @Post('allocations/:id/revoke')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Revoke the remaining credits of an allocation',
    description:
      'Empties the lot for good. What active sessions hold of it stays held, and goes nowhere when they ' +
      'return it.',
    operationId: 'revokeAllocation',
  })
  @ApiOkResponse({ type: AllocationDto })
  @ApiProblems(AllocationNotFound)
  @ApiIdempotent()
  @RoleAccess('admin')
  async revoke(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: RevokeAllocationDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<AllocationDto> {
    const allocation = await this.credits.revoke(caller, id, body.notes, key);
    markReplayed(response, allocation.replayed);
    return AllocationDto.from(allocation);
  }

  @Get('ledger')
  @ApiOperation({
    summary: 'List your ledger, newest first',
    description:
      'Every change of every lot, with its cause, who made it, and the available credits after it. ' +
      'Entries never change.',
    operationId: 'getLedger',
  })
  @LEDGER_OR_CSV
  @ApiProblems(AccountNotFound)
  @SelfAccess('credits:read', { userIdIn: 'body' })
  @LongList({ hasDownload: true })
  ledger(
    @CurrentCaller() caller: Caller,
    @Query() page: OwnPageQueryDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<LedgerPageDto | undefined> {
    return this.ledgerOf(caller.accountId, page, request, response, seenUser(caller));
  }

  @Get('ledger/:userId')
  @ApiOperation({
    summary: 'List a user’s ledger, newest first',
    description: 'The same as your own ledger, for a user, or for an organisation by its id.',
    operationId: 'getUserLedger',
  })
  @LEDGER_OR_CSV
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  @LongList({ hasDownload: true })
  userLedger(
    @AccountIdParam() userId: string,
    @Query() page: PageQueryDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<LedgerPageDto | undefined> {
    return this.ledgerOf(userId, page, request, response);
  }

  @Get('forecast')
  @ApiOperation({
    summary: 'Forecast when your credits run out and how many expire unused',
    description: FORECAST,
    operationId: 'getForecast',
  })
  @ApiOkResponse({ type: ForecastDto })
  @ApiProblems(AccountNotFound)
  @SelfAccess('credits:read', { userIdIn: 'body', account: 'oversight' })
  @Report()
  forecast(@CurrentCaller() caller: Caller, @Query() query: OwnForecastQueryDto): Promise<ForecastDto> {
    return this.forecasts.ofAccount(caller.accountId, query.windowDays);
  }

  @Get('forecast/:userId')
  @ApiOperation({
    summary: 'Forecast when a user’s credits run out and how many expire unused',
    description: FORECAST,
    operationId: 'getUserForecast',
  })
  @ApiOkResponse({ type: ForecastDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  @Report()
  userForecast(@AccountIdParam() userId: string, @Query() query: ForecastQueryDto): Promise<ForecastDto> {
    return this.forecasts.ofAccount(userId, query.windowDays);
  }

  @Get('totals')
  @ApiOperation({
    summary: 'Get the credit totals of all accounts',
    description: 'Available and held credits added up over all accounts.',
    operationId: 'getCreditTotals',
  })
  @ApiOkResponse({ type: CreditTotalsDto })
  @ApiProblems(SumTooLarge)
  @RoleAccess('admin')
  @Report()
  totals(): Promise<CreditTotalsDto> {
    return this.credits.totals();
  }

  @Get('audit')
  @ApiOperation({
    summary: 'Audit balances, lots, ledger and holds of every account',
    description: 'One audit at a time. It ends when the client hangs up.',
    operationId: 'auditCredits',
  })
  @ApiOkResponse({ type: AuditDto })
  @ApiProblems(TooManyReports, ReportsBusy, ReportTooLong)
  @RoleAccess('admin')
  audit(@Req() request: Request, @Res({ passthrough: true }) response: Response): Promise<AuditDto> {
    return this.auditService.audit(null, {
      reporter: reporterOf(request),
      isWanted: () => !response.destroyed,
    });
  }

  private ledgerOf(
    accountId: string,
    page: PageQueryDto,
    request: Request,
    response: Response,
    userId?: string,
  ): Promise<LedgerPageDto | undefined> {
    if (!wantsCsv(request)) return this.credits.ledgerPage(accountId, page, userId);
    return sendCsv(this.credits.ledgerCsv(accountId, page, reporterOf(request), userId), response, {
      fileName: 'ledger.csv',
      patienceSeconds: this.config.requestTimeoutSeconds,
    });
  }
}
