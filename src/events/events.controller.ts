import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { CurrentCaller, TokenAccess } from '../auth/access.decorator.js';
import { ForeignUser } from '../auth/auth.errors.js';
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
  'id: 7\nevent: credits.low\ndata: {"id":7,"type":"credits.low","userId":"alice","occurredAt":"2026-11-21T12:00:00.000Z",' +
  '"data":{"credits":97,"availableCredits":93,"heldCredits":4,"threshold":100}}\n\n';

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
      'Users see their own, supervisors and admins everyone’s. Kept for EVENT_RETENTION_DAYS. One request looks through ' +
      '10,000 events at most, so a page of rare types may be short, and even empty, before `nextCursor` is null.',
    operationId: 'listEvents',
  })
  @ApiOkResponse({ type: EventPageDto })
  @ApiProblems(ForeignUser)
  @TokenAccess()
  @Report()
  list(@CurrentCaller() caller: Caller, @Query() query: EventsQueryDto): Promise<EventPageDto> {
    return this.events.page(caller, query);
  }

  @Get('stream')
  @ApiOperation({
    summary: 'Follow events live (server-sent events)',
    description:
      'Users see their own, supervisors and admins everyone’s. `id` is the event’s, `event` its type, `data` the event in ' +
      'JSON. With `Last-Event-ID` the stream continues after that event; an id that no event has had is refused with 409. It ends with ' +
      'the token, and when the caller loses the role it needs; comments keep it alive.',
    operationId: 'streamEvents',
  })
  @ApiHeader({
    name: 'Last-Event-ID',
    required: false,
    description: 'The last event that the client has; left out: from now on',
    schema: { type: 'string', pattern: '^\\d{1,15}$', minLength: 1, maxLength: 15 },
    example: '6',
  })
  @ApiOkResponse({
    description: 'A stream without an end',
    content: { 'text/event-stream': { schema: { type: 'string' }, example: STREAM_EXAMPLE } },
  })
  @ApiProblems(ForeignUser, PositionUnknown, TooManyOwnStreams, NoStreamLeft)
  @TokenAccess()
  stream(
    @CurrentCaller() caller: Caller,
    @Query() query: EventFilterQueryDto,
    @LastEventId() after: number | undefined,
    @Req() { headers }: Request,
    @Res() response: Response,
  ): Promise<void> {
    const filter = this.events.filterOf(caller, query);
    return this.streams.open(response, caller, filter, after, expiryOf(headers.authorization as string));
  }
}
