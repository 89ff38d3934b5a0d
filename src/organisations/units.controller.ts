import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import { CurrentCaller, TokenAccess } from '../auth/access.decorator.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import type { Caller } from '../common/http/caller.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { IdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { LongList } from '../common/http/reports.js';
import { ChangeUnitDto, CreateUnitDto, UnitDto, UnitTreeDto } from './dto/units.dto.js';
import { OrganisationIdParam } from './organisation-id.js';
import {
  OrganisationArchived,
  OrganisationNotFound,
  OrganisationRoleRequired,
  TooManyUnits,
  UnitNameTaken,
  UnitHasPlatformBudget,
  UnitNotEmpty,
  UnitNotFound,
} from './organisations.errors.js';
import { UnitsService } from './units.service.js';

const WHO = 'For owners and admins of the organisation, and for supervisors.';

@ApiTags('Organisations')
@Controller('organisations/:id/units')
@ApiProblems(OrganisationNotFound)
export class UnitsController {
  constructor(private readonly units: UnitsService) {}

  @Post()
  @ApiOperation({
    summary: 'Create a unit of an organisation',
    description: `${WHO} Units stand on at most 5 levels.`,
    operationId: 'createUnit',
  })
  @ApiCreatedResponse({ type: UnitDto })
  @ApiProblems(OrganisationRoleRequired, OrganisationArchived, UnitNotFound, UnitNameTaken, TooManyUnits)
  @ApiIdempotent()
  @TokenAccess()
  async create(
    @CurrentAuthor() caller: Author,
    @OrganisationIdParam() id: string,
    @Body() body: CreateUnitDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UnitDto> {
    const { answer, replayed } = await this.units.create(caller, id, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Get()
  @ApiOperation({
    summary: 'Get the tree of an organisation’s units',
    description: 'For every member, and for supervisors.',
    operationId: 'getUnitTree',
  })
  @ApiOkResponse({ type: UnitTreeDto })
  @TokenAccess()
  @LongList()
  tree(@CurrentCaller() caller: Caller, @OrganisationIdParam() id: string): Promise<UnitTreeDto> {
    return this.units.tree(caller, id);
  }

  @Patch(':unitId')
  @ApiOperation({
    summary: 'Rename a unit, or move it with all below it',
    description: WHO,
    operationId: 'changeUnit',
  })
  @ApiOkResponse({ type: UnitDto })
  @ApiProblems(OrganisationRoleRequired, OrganisationArchived, UnitNotFound, UnitNameTaken)
  @TokenAccess()
  change(
    @CurrentAuthor() caller: Author,
    @OrganisationIdParam() id: string,
    @IdParam('unitId') unitId: number,
    @Body() body: ChangeUnitDto,
  ): Promise<UnitDto> {
    return this.units.change(caller, id, unitId, body);
  }

  @Delete(':unitId')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Delete a unit without members and without units below it',
    description: `${WHO} The unit’s budgets are deleted with it.`,
    operationId: 'deleteUnit',
  })
  @ApiNoContentResponse({ description: 'The unit is deleted' })
  @ApiProblems(
    OrganisationRoleRequired,
    OrganisationArchived,
    UnitNotFound,
    UnitNotEmpty,
    UnitHasPlatformBudget,
  )
  @TokenAccess()
  delete(
    @CurrentAuthor() caller: Author,
    @OrganisationIdParam() id: string,
    @IdParam('unitId') unitId: number,
  ): Promise<void> {
    return this.units.delete(caller, id, unitId);
  }
}
