import { Body, Controller, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { CurrentCaller, TokenAccess } from '../auth/access.decorator.js';
import { RoleRequired } from '../auth/auth.errors.js';
import { type Author, CurrentAuthor } from '../common/http/author.js';
import type { Caller } from '../common/http/caller.js';
import { ApiIdempotent, IdempotencyKey, markReplayed } from '../common/http/idempotency.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { LongList, Report } from '../common/http/reports.js';
import {
  CreateOrganisationDto,
  MyAccountDto,
  OrganisationDto,
  OrganisationPageDto,
  RenameOrganisationDto,
} from './dto/organisations.dto.js';
import { TextPageQueryDto } from './dto/text-page.dto.js';
import { OrganisationIdParam } from './organisation-id.js';
import {
  OrganisationArchived,
  OrganisationIdTaken,
  OrganisationNotFound,
  OrganisationRoleRequired,
  OrganisationSessionsActive,
  TooManyOrganisations,
} from './organisations.errors.js';
import { OrganisationsService } from './organisations.service.js';

@ApiTags('Organisations')
@Controller('organisations')
export class OrganisationsController {
  constructor(private readonly organisations: OrganisationsService) {}

  @Post()
  @ApiOperation({
    summary: 'Create an organisation',
    description:
      'The caller becomes its owner. For supervisors and admins, or, with ORGANISATIONS_CREATED_BY=any, for ' +
      'every user, at most 100 each.',
    operationId: 'createOrganisation',
  })
  @ApiCreatedResponse({ type: OrganisationDto })
  @ApiProblems(new RoleRequired('supervisor'), OrganisationIdTaken, TooManyOrganisations)
  @ApiIdempotent()
  @TokenAccess()
  async create(
    @CurrentAuthor() caller: Author,
    @Body() body: CreateOrganisationDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<OrganisationDto> {
    const { answer, replayed } = await this.organisations.create(caller, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Get()
  @ApiOperation({
    summary: 'List the organisations that you are a member of, or, for supervisors, all of them, by id',
    description: 'Includes organisations that have been archived.',
    operationId: 'listOrganisations',
  })
  @ApiOkResponse({ type: OrganisationPageDto })
  @TokenAccess()
  @LongList()
  list(@CurrentCaller() caller: Caller, @Query() page: TextPageQueryDto): Promise<OrganisationPageDto> {
    return this.organisations.page(caller, page);
  }

  @Get(':id')
  @ApiOperation({
    summary: 'Get an organisation',
    description: 'For those who are not members it does not exist (404), except for supervisors.',
    operationId: 'getOrganisation',
  })
  @ApiOkResponse({ type: OrganisationDto })
  @ApiProblems(OrganisationNotFound)
  @TokenAccess()
  one(@CurrentCaller() caller: Caller, @OrganisationIdParam() id: string): Promise<OrganisationDto> {
    return this.organisations.one(caller, id);
  }

  @Patch(':id')
  @ApiOperation({
    summary: 'Rename an organisation',
    description: 'For its owners and admins, and for supervisors.',
    operationId: 'renameOrganisation',
  })
  @ApiOkResponse({ type: OrganisationDto })
  @ApiProblems(OrganisationNotFound, OrganisationRoleRequired, OrganisationArchived)
  @TokenAccess()
  rename(
    @CurrentAuthor() caller: Author,
    @OrganisationIdParam() id: string,
    @Body() body: RenameOrganisationDto,
  ): Promise<OrganisationDto> {
    return this.organisations.rename(caller, id, body);
  }

  @Post(':id/archive')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Archive an organisation, so that it no longer changes',
    description: 'For its owners and for supervisors. A repeated request gets the same response.',
    operationId: 'archiveOrganisation',
  })
  @ApiOkResponse({ type: OrganisationDto })
  @ApiProblems(OrganisationNotFound, OrganisationRoleRequired, OrganisationSessionsActive)
  @TokenAccess()
  archive(@CurrentAuthor() caller: Author, @OrganisationIdParam() id: string): Promise<OrganisationDto> {
    return this.organisations.archive(caller, id);
  }
}

@ApiTags('Accounts')
@Controller('accounts/mine')
export class MyAccountsController {
  constructor(private readonly organisations: OrganisationsService) {}

  @Get()
  @ApiOperation({
    summary: 'List the accounts that you may spend from',
    description:
      'Your personal account first, then your organisations that are not archived, by name; at most 1,000.',
    operationId: 'listMyAccounts',
  })
  @ApiOkResponse({ type: MyAccountDto, isArray: true })
  @TokenAccess()
  @Report()
  list(@CurrentCaller() caller: Caller): Promise<MyAccountDto[]> {
    return this.organisations.accountsOf(caller);
  }
}
