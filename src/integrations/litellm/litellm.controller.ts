import { Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { RoleAccess, ServiceAccess } from '../../auth/access.decorator.js';
import { LargeBodyTooLarge } from '../../common/errors/request-errors.js';
import { LargeBody } from '../../common/http/bodies.js';
import { PageQueryDto } from '../../common/http/page.js';
import { ApiProblems } from '../../common/http/problem.dto.js';
import { LitellmGateway } from './litellm.gateway.js';
import { LITELLM_LOGS_BODY } from './litellm.requests.js';
import { CostDifferencePageDto, EventCountsDto, QuarantinePageDto } from '../dto/integrations.responses.js';
import { DifferencesService } from '../differences.service.js';
import { IntakeService } from '../intake.service.js';
import { QuarantineService } from '../quarantine.service.js';

@ApiTags('Integrations')
@Controller('integrations/litellm')
export class LitellmController {
  constructor(
    private readonly intake: IntakeService,
    private readonly gateway: LitellmGateway,
    private readonly quarantine: QuarantineService,
    private readonly differences: DifferencesService,
  ) {}

  @Post('logs')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Ingest LiteLLM usage logs',
    description:
      'Receives the reports of the proxy’s `generic_api` callback: a JSON array of standard logging ' +
      'payloads, newline-delimited JSON, or a single payload, up to 10 MB. Each call is charged once, ' +
      'however often it is sent. A report that is invalid, or that names no known user, is kept in ' +
      'quarantine and does not affect the others. Prompts and answers are not stored.',
    operationId: 'takeLitellmLogs',
  })
  @ApiConsumes('application/json', 'application/x-ndjson')
  @ApiBody(LITELLM_LOGS_BODY)
  @ApiOkResponse({ type: EventCountsDto })
  @ApiProblems(LargeBodyTooLarge)
  @ServiceAccess()
  logs(@LargeBody({ mayBeLines: true }) body?: Buffer): Promise<EventCountsDto> {
    return this.intake.take(this.gateway, body);
  }

  @Get('quarantine')
  @ApiOperation({ summary: 'List quarantined calls, oldest first', operationId: 'listQuarantine' })
  @ApiOkResponse({ type: QuarantinePageDto })
  @RoleAccess('admin')
  waiting(@Query() page: PageQueryDto): Promise<QuarantinePageDto> {
    return this.quarantine.page(this.gateway, page);
  }

  @Get('differences')
  @ApiOperation({
    summary: 'List calls whose reported cost differs from the pricing rule’s by more than 1 %, newest first',
    operationId: 'listCostDifferences',
  })
  @ApiOkResponse({ type: CostDifferencePageDto })
  @RoleAccess('admin')
  costDifferences(@Query() page: PageQueryDto): Promise<CostDifferencePageDto> {
    return this.differences.page(this.gateway, page);
  }

  @Post('quarantine/replay')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Retry quarantined calls',
    description:
      'Retries at most 2,000 calls, starting with those whose last attempt was longest ago. ' +
      '`quarantined` counts the calls that remain in quarantine. Calls of users who have since appeared ' +
      'are also retried automatically.',
    operationId: 'replayQuarantine',
  })
  @ApiOkResponse({ type: EventCountsDto })
  @RoleAccess('admin')
  replay(): Promise<EventCountsDto> {
    return this.quarantine.replay(this.gateway);
  }
}
