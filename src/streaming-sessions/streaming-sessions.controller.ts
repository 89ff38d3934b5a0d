import { Body, Controller, Get, HttpCode, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { CurrentCaller, RoleAccess, SelfAccess } from '../auth/access.decorator.js';
import type { Caller } from '../common/http/caller.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { AccountIdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { LongList } from '../common/http/reports.js';
import {
  BalanceLimit,
  BudgetExceeded,
  InsufficientCredits,
  LimitExceeded,
} from '../credits/credits.errors.js';
import { UnpricedModel } from '../pricing/pricing.errors.js';
import { SessionAlreadyEnded, SessionConflict, SessionNotFound } from './streaming-sessions.errors.js';
import {
  AbortSessionDto,
  FinalizeSessionDto,
  InitializeSessionDto,
  ProgressDto,
} from './dto/sessions.requests.js';
import {
  ActiveSessionDto,
  SessionAbortedDto,
  SessionProgressDto,
  SessionSettledDto,
  SessionStartedDto,
} from './dto/sessions.responses.js';
import { ActiveSessionsQueryDto, ListSessionsQueryDto } from './dto/sessions.queries.js';
import { StreamingSessionsService } from './streaming-sessions.service.js';

const METERING = { metering: true, userIdIn: 'body' } as const;

@ApiTags('Streaming sessions')
@Controller('streaming-sessions')
export class StreamingSessionsController {
  constructor(private readonly sessions: StreamingSessionsService) {}

  @Post('initialize')
  @ApiOperation({
    summary: 'Start a session and hold its estimated cost plus a buffer',
    description:
      'Call it before the stream starts. It takes credits out of the balance and asks every budget in one ' +
      'step; a refusal (402, 429) changes nothing. Repeated with the same content it answers 200 with the ' +
      'same session.',
    operationId: 'initializeSession',
  })
  @ApiCreatedResponse({
    type: SessionStartedDto,
    description: 'The session is started and its credits are held',
  })
  @ApiOkResponse({
    type: SessionStartedDto,
    description: 'The session had already been started; its credits are still held',
  })
  @ApiProblems(
    InsufficientCredits,
    BudgetExceeded,
    LimitExceeded,
    AccountNotFound,
    SessionConflict,
    SessionAlreadyEnded,
    UnpricedModel,
  )
  @SelfAccess('sessions:write', METERING)
  async initialize(
    @CurrentCaller() caller: Caller,
    @Body() body: InitializeSessionDto,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SessionStartedDto> {
    const { created, session } = await this.sessions.initialize(caller, body);
    response.status(created ? 201 : 200);
    return SessionStartedDto.from(session);
  }

  @Post('progress')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Report progress, which renews the lease and grows the hold if needed',
    description:
      'Call it while the stream runs, with the tokens generated since its start. Stop the stream when ' +
      '`shouldStop` is true. Fewer tokens than before change nothing.',
    operationId: 'reportProgress',
  })
  @ApiOkResponse({ type: SessionProgressDto })
  @ApiProblems(SessionNotFound, SessionAlreadyEnded)
  @SelfAccess('sessions:write', METERING)
  async progress(@CurrentCaller() caller: Caller, @Body() body: ProgressDto): Promise<SessionProgressDto> {
    return SessionProgressDto.from(await this.sessions.progress(caller, body));
  }

  @Post('finalize')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Finalize a session: charge the tokens used and return the remaining credits',
    description:
      'Call it when the stream has ended. It is never refused for a lack of credits: what cannot be paid ' +
      'waits for a review. Repeated with the same content it gives the same answer. After a time-out it ' +
      'settles the difference once.',
    operationId: 'finalizeSession',
  })
  @ApiOkResponse({ type: SessionSettledDto })
  @ApiProblems(
    SessionNotFound,
    SessionAlreadyEnded,
    new BalanceLimit('actualTokens', Number.MAX_SAFE_INTEGER),
  )
  @SelfAccess('sessions:write', METERING)
  async finalize(
    @CurrentCaller() caller: Caller,
    @Body() body: FinalizeSessionDto,
  ): Promise<SessionSettledDto> {
    return SessionSettledDto.from(await this.sessions.finalize(caller, body));
  }

  @Post('abort')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Abort a session: charge the tokens generated and return the remaining credits',
    description:
      'Call it when the stream has failed or was cancelled; without `tokensGenerated` the last reported ' +
      'progress is charged. Repeated with the same content it gives the same answer.',
    operationId: 'abortSession',
  })
  @ApiOkResponse({ type: SessionAbortedDto })
  @ApiProblems(
    SessionNotFound,
    SessionAlreadyEnded,
    new BalanceLimit('tokensGenerated', Number.MAX_SAFE_INTEGER),
  )
  @SelfAccess('sessions:write', METERING)
  async abort(@CurrentCaller() caller: Caller, @Body() body: AbortSessionDto): Promise<SessionAbortedDto> {
    return SessionAbortedDto.from(await this.sessions.abort(caller, body));
  }

  @Get('active')
  @ApiOperation({
    summary: 'List your active sessions, newest first',
    description: 'Sessions that hold credits now.',
    operationId: 'listActiveSessions',
  })
  @ApiOkResponse({ type: [ActiveSessionDto] })
  @ApiProblems(AccountNotFound)
  @SelfAccess('sessions:write', { userIdIn: 'body' })
  @LongList()
  active(
    @CurrentCaller() caller: Caller,
    @Query() query: ActiveSessionsQueryDto,
  ): Promise<ActiveSessionDto[]> {
    return this.sessions.own(caller, query.limit);
  }

  @Get('active/all')
  @ApiOperation({
    summary: 'List the active sessions of all users, newest first',
    description: 'Sessions of every account that hold credits now.',
    operationId: 'listAllActiveSessions',
  })
  @ApiOkResponse({ type: [ActiveSessionDto] })
  @RoleAccess('admin')
  @LongList()
  allActive(@Query() query: ListSessionsQueryDto): Promise<ActiveSessionDto[]> {
    return this.sessions.active(undefined, query.limit);
  }

  @Get('active/:userId')
  @ApiOperation({
    summary: 'List a user’s active sessions, newest first',
    description: 'The same as your own active sessions, for a user, or for an organisation by its id.',
    operationId: 'listUserActiveSessions',
  })
  @ApiOkResponse({ type: [ActiveSessionDto] })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  @LongList()
  userActive(
    @AccountIdParam() userId: string,
    @Query() query: ListSessionsQueryDto,
  ): Promise<ActiveSessionDto[]> {
    return this.sessions.active(userId, query.limit);
  }
}
