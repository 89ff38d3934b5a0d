import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { CurrentCaller, TokenAccess } from '../auth/access.decorator.js';
import { AccountRoleRequired, ForeignUser } from '../auth/auth.errors.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import type { Caller } from '../common/http/caller.js';
import { expiryOf } from '../auth/token-verifier.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { Report } from '../common/http/reports.js';
import { EventFilterQueryDto, EventsQueryDto } from './dto/events.requests.js';
import { EventPageDto } from './dto/events.responses.js';
import { EventStreams } from './event-streams.js';
import { NoStreamLeft, PositionUnknown, TooManyOwnStreams } from './events.errors.js';
import { EventsService } from './events.service.js';
import { LastEventId } from './last-event-id.js';

const STREAM_EXAMPLE =
  'id: 7\nevent: credits.low\ndata: {"id":7,"type":"credits.low","accountId":"alice","userId":"alice",' +
  '"occurredAt":"2026-11-21T12:00:00.000Z","data":{"credits":97,"availableCredits":93,"heldCredits":4,"threshold":100}}\n\n';

@ApiTags('Events')
@Controller('events')
export class EventsController {
  constructor(
    private readonly events: EventsService,
    private readonly streams: EventStreams,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List events, newest first',
    description:
      'Users see their own events and, with `accountId`, those of an organisation whose usage they oversee; ' +
      'supervisors and admins see everyone’s. Events are kept for ' +
      'EVENT_RETENTION_DAYS. One request searches at most 10,000 events, so a page may be short, or even ' +
      'empty if few events match the filter, although more pages follow. The list ends when `nextCursor` ' +
      'is null.',
    operationId: 'listEvents',
  })
  @ApiOkResponse({ type: EventPageDto })
  @ApiProblems(ForeignUser, AccountNotFound, AccountRoleRequired)
  @TokenAccess()
  @Report()
  list(@CurrentCaller() caller: Caller, @Query() query: EventsQueryDto): Promise<EventPageDto> {
    return this.events.page(caller, query);
  }

  @Get('stream')
  @ApiOperation({
    summary: 'Follow events live (server-sent events)',
    description:
      'Users see their own events and, with `accountId`, those of an organisation whose usage they oversee; ' +
      'supervisors and admins see everyone’s. In each message, `id` is the ' +
      'id of the event, `event` its type, and `data` the event as JSON. With `Last-Event-ID` the stream ' +
      'continues after that event; an id that no event has had is refused with 409. Comments keep the ' +
      'connection alive. The stream ends after EVENT_STREAM_SECONDS, when the access token expires, and ' +
      'when the caller loses the role that it needs.',
    operationId: 'streamEvents',
  })
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description:
      'Id of the last event that the client received. If omitted, the stream begins with the next event',
    schema: { type: 'string', pattern: '^\\d{1,15}$', minLength: 1, maxLength: 15 },
    example: '6',
  })
  @ApiOkResponse({
    description: 'The event stream',
    content: { 'text/event-stream': { schema: { type: 'string' }, example: STREAM_EXAMPLE } },
  })
  @ApiProblems(
    ForeignUser,
    AccountNotFound,
    AccountRoleRequired,
    PositionUnknown,
    TooManyOwnStreams,
    NoStreamLeft,
  )
  @TokenAccess()
  async stream(
    @CurrentCaller() caller: Caller,
    @Query() query: EventFilterQueryDto,
    @LastEventId() after: number | undefined,
    @Req() { headers }: Request,
    @Res() response: Response,
  ): Promise<void> {
    const filter = await this.events.filterOf(caller, query);
    return this.streams.open(response, caller, filter, after, expiryOf(headers.authorization as string));
  }
}
