import { Body, Controller, Delete, Get, HttpCode, Post, Put, Query } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiExtraModels,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import { RoleAccess, ServiceAccess } from '../../auth/access.decorator.js';
import { LargeBodyTooLarge } from '../../common/errors/request-errors.js';
import { LargeBody } from '../../common/http/bodies.js';
import { type Author, CurrentAuthor } from '../../common/http/author.js';
import { PageQueryDto } from '../../common/http/page.js';
import { IdParam } from '../../common/http/params.js';
import { ApiProblems } from '../../common/http/problem.dto.js';
import { LitellmGateway } from './litellm.gateway.js';
import { LITELLM_LOGS_BODY, LitellmLogDto } from './litellm.requests.js';
import { CostDifferencePageDto, EventCountsDto, QuarantinePageDto } from '../dto/integrations.responses.js';
import {
  GatewayAccountDto,
  GatewayAccountPageDto,
  SetGatewayAccountDto,
} from '../dto/gateway-accounts.dto.js';
import { DifferencesService } from '../differences.service.js';
import { GatewayAccountsService } from '../gateway-accounts.service.js';
import { IntakeService } from '../intake.service.js';
import { GatewayAccountNotFound } from '../integrations.errors.js';
import { QuarantineService } from '../quarantine.service.js';

@ApiTags('Integrations')
@Controller('integrations/litellm')
export class LitellmController {
  constructor(
    private readonly intake: IntakeService,
    private readonly gateway: LitellmGateway,
    private readonly quarantine: QuarantineService,
    private readonly differences: DifferencesService,
    private readonly accounts: GatewayAccountsService,
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
  @ApiExtraModels(LitellmLogDto)
  @ApiBody(LITELLM_LOGS_BODY)
  @ApiOkResponse({ type: EventCountsDto })
  @ApiProblems(LargeBodyTooLarge)
  @ServiceAccess()
  logs(@LargeBody({ mayBeLines: true }) body?: Buffer): Promise<EventCountsDto> {
    return this.intake.take(this.gateway, body);
  }

  @Get('quarantine')
  @ApiOperation({
    summary: 'List quarantined calls, oldest first',
    description:
      'Calls whose report was invalid or named no known user. They are charged when a replay accepts ' +
      'them.',
    operationId: 'listQuarantine',
  })
  @ApiOkResponse({ type: QuarantinePageDto })
  @RoleAccess('admin')
  waiting(@Query() page: PageQueryDto): Promise<QuarantinePageDto> {
    return this.quarantine.page(this.gateway, page);
  }

  @Get('differences')
  @ApiOperation({
    summary: 'List calls whose reported cost differs from the pricing rule’s by more than 1 %, newest first',
    description:
      'Compares what the proxy reported with what the pricing rule computes, call by call, to find wrong ' +
      'prices.',
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
  replay(@CurrentAuthor() caller: Author): Promise<EventCountsDto> {
    return this.quarantine.replay(caller, this.gateway);
  }

  @Get('accounts')
  @ApiOperation({
    summary: 'List the organisations that pay for teams and organizations of the proxy',
    description: 'Each entry maps a team or an organization of the proxy to the account that pays for it.',
    operationId: 'listGatewayAccounts',
  })
  @ApiOkResponse({ type: GatewayAccountPageDto })
  @RoleAccess('admin')
  listAccounts(@Query() page: PageQueryDto): Promise<GatewayAccountPageDto> {
    return this.accounts.page(this.gateway, page);
  }

  @Put('accounts')
  @ApiOperation({
    summary: 'Let an organisation pay for a team or organization of the proxy',
    description:
      'Replaces what was set for the same team or organization. From now on the organisation pays for ' +
      'calls of its members that are reported with this `user_api_key_team_id` or `user_api_key_org_id`, ' +
      'and a member’s new key is made in the team or organization. A team comes before an organization, ' +
      'and a key of this service before both.',
    operationId: 'setGatewayAccount',
  })
  @ApiOkResponse({ type: GatewayAccountDto })
  @RoleAccess('admin')
  setAccount(
    @CurrentAuthor() caller: Author,
    @Body() body: SetGatewayAccountDto,
  ): Promise<GatewayAccountDto> {
    return this.accounts.set(caller, this.gateway, body);
  }

  @Delete('accounts/:id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Let users pay for their calls of a team or organization themselves again',
    description: 'Applies to calls that are reported from now on.',
    operationId: 'deleteGatewayAccount',
  })
  @ApiNoContentResponse({ description: 'Done' })
  @ApiProblems(GatewayAccountNotFound)
  @RoleAccess('admin')
  removeAccount(@CurrentAuthor() caller: Author, @IdParam() id: number): Promise<void> {
    return this.accounts.remove(caller, this.gateway, id);
  }
}
