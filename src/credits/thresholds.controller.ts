import { Body, Controller, Get, Put } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { CurrentCaller, OwnerAccess, RoleAccess, SelfAccess } from '../auth/access.decorator.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import type { Caller } from '../common/http/caller.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { AccountIdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { LowThresholdDto, SetLowThresholdDto } from './dto/thresholds.dto.js';
import { ThresholdsService } from './thresholds.service.js';

@ApiTags('Credits')
@Controller('credits/low-threshold')
export class ThresholdsController {
  constructor(private readonly thresholds: ThresholdsService) {}

  @Get()
  @ApiOperation({
    summary: 'Get your low-credit threshold',
    description:
      'Credits at or below the threshold emit `credits.low`. An account without a threshold of its own ' +
      'has the one of the service.',
    operationId: 'getLowThreshold',
  })
  @ApiOkResponse({ type: LowThresholdDto })
  @ApiProblems(AccountNotFound)
  @SelfAccess('credits:read', { account: 'oversight' })
  get(@CurrentCaller() caller: Caller): Promise<LowThresholdDto> {
    return this.thresholds.get(caller.accountId);
  }

  @Put()
  @ApiOperation({
    summary: 'Set your low-credit threshold',
    description: 'Each time the credits fall to the threshold, one `credits.low` event is emitted.',
    operationId: 'setLowThreshold',
  })
  @ApiOkResponse({ type: LowThresholdDto })
  @OwnerAccess()
  set(@CurrentAuthor() caller: Author, @Body() body: SetLowThresholdDto): Promise<LowThresholdDto> {
    return this.thresholds.set(caller, caller.accountId, body.threshold);
  }

  @Get(':userId')
  @ApiOperation({
    summary: 'Get a user’s low-credit threshold',
    description: 'The same as your own threshold, for a user, or for an organisation by its id.',
    operationId: 'getUserLowThreshold',
  })
  @ApiOkResponse({ type: LowThresholdDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor', { hasOwnPath: true })
  getOf(@AccountIdParam() userId: string): Promise<LowThresholdDto> {
    return this.thresholds.get(userId);
  }

  @Put(':userId')
  @ApiOperation({
    summary: 'Set a user’s low-credit threshold',
    description:
      'Replaces the threshold. If the credits are at or below the new one, `credits.low` is emitted at ' +
      'once. It can be changed ten times a minute.',
    operationId: 'setUserLowThreshold',
  })
  @ApiOkResponse({ type: LowThresholdDto })
  @ApiProblems(AccountNotFound)
  @RoleAccess('supervisor')
  setOf(
    @CurrentAuthor() caller: Author,
    @AccountIdParam() userId: string,
    @Body() body: SetLowThresholdDto,
  ): Promise<LowThresholdDto> {
    return this.thresholds.set(caller, userId, body.threshold);
  }
}
