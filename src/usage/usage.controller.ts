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
import { AccountNotFound } from '../common/errors/service-error.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { PageQueryDto } from '../common/http/page.js';
import { IdParam, AccountIdParam } from '../common/http/params.js';
import { sendCsv } from '../common/http/csv-download.js';
import { LongList, Report, reporterOf, wantsCsv } from '../common/http/reports.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { BudgetExceeded, InsufficientCredits, LimitExceeded } from '../credits/credits.errors.js';
import { UnpricedModel } from '../pricing/pricing.errors.js';
import { HidesProviderCost, seesProviderCost, withoutProviderCost } from '../pricing/provider-cost.js';
import {
  AllRecordsQueryDto,
  BreakdownQueryDto,
  ChargeUsageDto,
  OwnRangeQueryDto,
  OwnRecordsQueryDto,
  RangeQueryDto,
  RecordsQueryDto,
  RecordUsageDto,
  ReviewUsageDto,
  SystemStatsQueryDto,
  timeRange,
} from './dto/usage.requests.js';
import {
  ChargeDto,
  SystemStatsDto,
  UsageBreakdownDto,
  UsageClassesDto,
  UsagePageDto,
  UsageRecordDetailsDto,
  UsageRecordDto,
  UsageSearchPageDto,
  UsageStatsDto,
} from './dto/usage.responses.js';
import { UsageStatisticsService } from './usage-statistics.service.js';
import { UsageClassesService } from './usage-classes.service.js';
import { UsageChargesService } from './usage-charges.service.js';
import { type SearchedRecords, UsageSearchService } from './usage-search.service.js';
import {
  AlreadyReviewed,
  DayLimit,
  NotInReview,
  RequestMismatch,
  UsageChanged,
  UsageNotFound,
} from './usage.errors.js';
import { UsageService } from './usage.service.js';

const PAGE_OR_CSV = ApiOkResponse({
  description: 'One page as JSON; with `Accept: text/csv`, all records as CSV, one per line',
  content: {
    'application/json': { schema: { $ref: getSchemaPath(UsageSearchPageDto) } },
    'text/csv': { schema: { type: 'string' }, example: 'id,userId,timestamp,…\r\n' },
  },
});
const SEARCHED =
  'A page has at most 512 kB, and one request searches at most 50,000 records. A page may therefore ' +
  'be short, or even empty if few records match the filter, although more pages follow. The list ' +
  'ends when `nextCursor` is null. A caller may run up to four CSV downloads at once.';
const CLASSES =
  'Exact sums before the rounding of each call, at the prices the calls were made at. Of a range with more than 50,000 ' +
  'records, or with more than 1,000 combinations of pricing rule, service tier and context threshold, only the newest records ' +
  'count, and `since` says from when.';

@ApiTags('Usage')
@ApiExtraModels(UsageSearchPageDto)
@Controller('usage')
export class UsageController {
  constructor(
    private readonly usage: UsageService,
    private readonly charges: UsageChargesService,
    private readonly statistics: UsageStatisticsService,
    private readonly search: UsageSearchService,
    private readonly classes: UsageClassesService,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Post('record')
  @ApiOperation({
    summary: 'Record usage that was settled elsewhere',
    description:
      'A record of more than 10^6 credits is refused with 422 `usage.day_limit` if the account would then ' +
      'have more than 10^12 credits of usage in the UTC day of the record.',
    operationId: 'recordUsage',
  })
  @ApiCreatedResponse({ type: UsageRecordDto })
  @ApiProblems(AccountNotFound, DayLimit)
  @ApiIdempotent()
  @SelfAccess('usage:write', { metering: true, userIdIn: 'body' })
  async record(
    @CurrentCaller() caller: Caller,
    @Body() body: RecordUsageDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UsageRecordDto> {
    const record = await this.usage.record(caller, body, key);
    markReplayed(response, record.replayed);
    return this.shown(caller, UsageRecordDto.from(record));
  }

  @Post('charge')
  @ApiOperation({
    summary: 'Price, debit and record a finished call',
    description: 'Idempotent by `requestId`: a repeated request returns 200 with the same record.',
    operationId: 'chargeUsage',
  })
  @ApiCreatedResponse({ type: ChargeDto, description: 'The call was charged, or recorded for review' })
  @ApiOkResponse({ type: ChargeDto, description: 'The call had already been charged; this is its record' })
  @ApiProblems(
    InsufficientCredits,
    BudgetExceeded,
    LimitExceeded,
    AccountNotFound,
    RequestMismatch,
    UnpricedModel,
  )
  @ApiIdempotent()
  @SelfAccess('usage:write', { metering: true, userIdIn: 'body' })
  async charge(
    @CurrentCaller() caller: Caller,
    @Body() body: ChargeUsageDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ChargeDto> {
    const charge = await this.charges.charge(caller, body, key);
    markReplayed(response, charge.replayed);
    response.status(charge.replayed ? 200 : 201);
    return this.shown(caller, ChargeDto.from(charge));
  }

  @Get('needs-review')
  @ApiOperation({
    summary: 'List usage records that await review, oldest first',
    description:
      'Finished calls that could not be paid for, or were sent for review. `POST ' +
      '/api/usage/records/{id}/review` decides about each.',
    operationId: 'listNeedsReview',
  })
  @ApiOkResponse({ type: UsagePageDto })
  @RoleAccess('admin')
  @LongList()
  needsReview(@Query() page: PageQueryDto): Promise<UsagePageDto> {
    return this.charges.needsReview(page);
  }

  @Post('records/:id/review')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Bill or waive the open amount of a usage record',
    description:
      'The decision names the `version` of the record that it applies to. It is refused with 409 ' +
      '`usage.changed` if the record has changed since, and with 409 `usage.already_reviewed` if the ' +
      'record has no open amount.',
    operationId: 'reviewUsage',
  })
  @ApiOkResponse({ type: UsageRecordDto })
  @ApiProblems(InsufficientCredits, UsageNotFound, NotInReview, AlreadyReviewed, UsageChanged)
  @ApiIdempotent()
  @RoleAccess('admin')
  async review(
    @CurrentAuthor() caller: Author,
    @IdParam() id: number,
    @Body() body: ReviewUsageDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UsageRecordDto> {
    const record = await this.charges.review(caller, id, body, key);
    markReplayed(response, record.replayed);
    return UsageRecordDto.from(record);
  }

  @Get('stats')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'Get your usage statistics',
    description:
      'Records and credits in a range of time, by service, day, model, user and unit. Both ends are ' +
      'included; without them it is all of the time.',
    operationId: 'getUsageStats',
  })
  @ApiOkResponse({ type: UsageStatsDto })
  @ApiProblems(AccountNotFound)
  @SelfAccess('usage:read', { userIdIn: 'body' })
  @Report()
  stats(@CurrentCaller() caller: Caller, @Query() query: OwnRangeQueryDto): Promise<UsageStatsDto> {
    return this.statistics.ofAccount(caller.accountId, timeRange(query), seenUser(caller));
  }

  @Get('stats/:userId')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'Get a user’s usage statistics',
    description: 'The same as your own statistics, for a user, or for an organisation by its id.',
    operationId: 'getUserUsageStats',
  })
  @ApiOkResponse({ type: UsageStatsDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  @Report()
  userStats(@AccountIdParam() userId: string, @Query() query: RangeQueryDto): Promise<UsageStatsDto> {
    return this.statistics.ofAccount(userId, timeRange(query));
  }

  @Get('breakdown')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'Get what your calls cost, by API key or by a tag',
    description:
      'Of a range with more than 50,000 records only the newest count, and `since` says from when.',
    operationId: 'getUsageBreakdown',
  })
  @ApiOkResponse({ type: UsageBreakdownDto })
  @ApiProblems(AccountNotFound)
  @SelfAccess('usage:read', { userIdIn: 'body' })
  @Report()
  breakdown(@CurrentCaller() caller: Caller, @Query() query: BreakdownQueryDto): Promise<UsageBreakdownDto> {
    return this.statistics.brokenDown(
      caller.accountId,
      timeRange(query),
      query.tagName ?? null,
      seenUser(caller),
    );
  }

  @Get('system-stats')
  @ApiOperation({
    summary: 'Get the usage statistics of all users',
    description: 'Records, credits, provider cost and margin in a range of time, over all accounts.',
    operationId: 'getSystemStats',
  })
  @ApiOkResponse({ type: SystemStatsDto })
  @RoleAccess('admin')
  @Report()
  systemStats(@Query() query: SystemStatsQueryDto): Promise<SystemStatsDto> {
    return this.statistics.ofSystem(timeRange(query), query.top);
  }

  @Get('records')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'List your usage records, newest first',
    description: SEARCHED,
    operationId: 'listUsageRecords',
  })
  @PAGE_OR_CSV
  @ApiProblems(AccountNotFound)
  @SelfAccess('usage:read', { userIdIn: 'body' })
  @Report({ hasDownload: true })
  records(
    @CurrentCaller() caller: Caller,
    @Query() query: OwnRecordsQueryDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UsageSearchPageDto | undefined> {
    const hidesCost = !seesProviderCost(caller, this.config);
    return this.pageOrCsv(
      caller.accountId,
      { ...query, spentBy: seenUser(caller) },
      request,
      response,
      hidesCost,
    );
  }

  @Get('records/all')
  @ApiOperation({
    summary: 'List the usage records of all users, newest first',
    description: `The path ends in the word \`all\`, which no user may have as an id. ${SEARCHED}`,
    operationId: 'listAllUsageRecords',
  })
  @PAGE_OR_CSV
  @RoleAccess('admin')
  @Report({ hasDownload: true })
  allRecords(
    @Query() query: AllRecordsQueryDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UsageSearchPageDto | undefined> {
    if (!wantsCsv(request)) return this.search.page(query);
    return this.download(this.search.csv(query, reporterOf(request)), response);
  }

  @Get('records/user/:userId')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'List a user’s usage records, newest first',
    description: SEARCHED,
    operationId: 'listUserUsageRecords',
  })
  @PAGE_OR_CSV
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  @Report({ hasDownload: true })
  userRecords(
    @AccountIdParam() userId: string,
    @Query() query: RecordsQueryDto,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UsageSearchPageDto | undefined> {
    return this.pageOrCsv(userId, query, request, response);
  }

  @Get('records/:id')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'Get a usage record with what explains it',
    description:
      'What each class cost, the ledger’s entries for the call, the budgets that it counted in, and the life of its session. ' +
      'Yours, or for supervisors, admins and trusted services anyone’s. Another user’s record is the same 404 as one that ' +
      'does not exist.',
    operationId: 'getUsageRecord',
  })
  @ApiOkResponse({ type: UsageRecordDetailsDto })
  @ApiProblems(UsageNotFound)
  @CallerAccess('usage:read')
  @Report()
  recordById(@CurrentCaller() caller: Caller, @IdParam() id: number): Promise<UsageRecordDetailsDto> {
    return this.classes.ofRecord(caller, id);
  }

  @Get('classes')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'Get what your calls used, by class',
    description: CLASSES,
    operationId: 'getUsageClasses',
  })
  @ApiOkResponse({ type: UsageClassesDto })
  @ApiProblems(AccountNotFound)
  @SelfAccess('usage:read', { userIdIn: 'body' })
  @Report()
  ownClasses(@CurrentCaller() caller: Caller, @Query() query: OwnRangeQueryDto): Promise<UsageClassesDto> {
    return this.classes.ofRange(caller.accountId, timeRange(query), seenUser(caller));
  }

  @Get('classes/all')
  @ApiOperation({
    summary: 'Get what the calls of all users used, by class',
    description: CLASSES,
    operationId: 'getSystemClasses',
  })
  @ApiOkResponse({ type: UsageClassesDto })
  @RoleAccess('admin')
  @Report()
  systemClasses(@Query() query: RangeQueryDto): Promise<UsageClassesDto> {
    return this.classes.ofRange(null, timeRange(query));
  }

  @Get('classes/:userId')
  @HidesProviderCost()
  @ApiOperation({
    summary: 'Get what a user’s calls used, by class',
    description: CLASSES,
    operationId: 'getUserUsageClasses',
  })
  @ApiOkResponse({ type: UsageClassesDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  @Report()
  userClasses(@AccountIdParam() userId: string, @Query() query: RangeQueryDto): Promise<UsageClassesDto> {
    return this.classes.ofRange(userId, timeRange(query));
  }

  /** What HidesProviderCost does, without an interceptor: that takes a sixth of all charges a second. */
  private shown<Answer>(caller: Caller, answer: Answer): Answer {
    return seesProviderCost(caller, this.config) ? answer : withoutProviderCost(answer);
  }

  private async pageOrCsv(
    userId: string,
    query: SearchedRecords,
    request: Request,
    response: Response,
    hidesCost = false,
  ) {
    if (!wantsCsv(request)) return this.search.pageOf(userId, query);
    await this.search.requireAccount(userId);
    return this.download(this.search.csv({ ...query, userId }, reporterOf(request), hidesCost), response);
  }

  private download(lines: AsyncGenerator<string>, response: Response): Promise<undefined> {
    return sendCsv(lines, response, {
      fileName: 'usage.csv',
      patienceSeconds: this.config.requestTimeoutSeconds,
    });
  }
}
