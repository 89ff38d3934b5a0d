import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
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
import { UserIdParam } from '../common/http/params.js';
import { ApiProblems } from '../common/http/problem.dto.js';
import { LongList } from '../common/http/reports.js';
import { AddMemberDto, ChangeMemberDto, MemberDto, MemberPageDto } from './dto/members.dto.js';
import { TextPageQueryDto } from './dto/text-page.dto.js';
import { MembersService } from './members.service.js';
import { OrganisationIdParam } from './organisation-id.js';
import {
  MemberExists,
  MemberNotFound,
  OrganisationArchived,
  OrganisationNotFound,
  OrganisationOwnerRequired,
  OrganisationRoleRequired,
  TooManyMembers,
  UnitNotFound,
} from './organisations.errors.js';

const OWNERS = 'Only owners and supervisors may make, change or remove an owner.';

@ApiTags('Organisations')
@Controller('organisations/:id/members')
@ApiProblems(OrganisationNotFound, OrganisationRoleRequired)
export class MembersController {
  constructor(private readonly members: MembersService) {}

  @Post()
  @ApiOperation({
    summary: 'Add a member',
    description: `For owners and admins of the organisation, and for supervisors. ${OWNERS}`,
    operationId: 'addMember',
  })
  @ApiCreatedResponse({ type: MemberDto })
  @ApiProblems(OrganisationArchived, MemberExists, TooManyMembers, UnitNotFound)
  @ApiIdempotent()
  @TokenAccess()
  async add(
    @CurrentAuthor() caller: Author,
    @OrganisationIdParam() id: string,
    @Body() body: AddMemberDto,
    @IdempotencyKey() key: string | null,
    @Res({ passthrough: true }) response: Response,
  ): Promise<MemberDto> {
    const { answer, replayed } = await this.members.add(caller, id, body, key);
    markReplayed(response, replayed);
    return answer;
  }

  @Get()
  @ApiOperation({
    summary: 'List the members by user id',
    description: 'For owners, admins and billing of the organisation, and for supervisors.',
    operationId: 'listMembers',
  })
  @ApiOkResponse({ type: MemberPageDto })
  @TokenAccess()
  @LongList()
  list(
    @CurrentCaller() caller: Caller,
    @OrganisationIdParam() id: string,
    @Query() page: TextPageQueryDto,
  ): Promise<MemberPageDto> {
    return this.members.page(caller, id, page);
  }

  @Patch(':userId')
  @ApiOperation({
    summary: 'Change the role or the unit of a member',
    description: `For owners and admins of the organisation, and for supervisors. ${OWNERS}`,
    operationId: 'changeMember',
  })
  @ApiOkResponse({ type: MemberDto })
  @ApiProblems(OrganisationArchived, MemberNotFound, OrganisationOwnerRequired, UnitNotFound)
  @TokenAccess()
  change(
    @CurrentAuthor() caller: Author,
    @OrganisationIdParam() id: string,
    @UserIdParam() userId: string,
    @Body() body: ChangeMemberDto,
  ): Promise<MemberDto> {
    return this.members.change(caller, id, userId, body);
  }

  @Delete(':userId')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Remove a member, and revoke the API keys that they made in the organisation',
    description:
      'For owners and admins of the organisation, for supervisors, and for the member themselves. ' + OWNERS,
    operationId: 'removeMember',
  })
  @ApiNoContentResponse({ description: 'The user is no longer a member' })
  @ApiProblems(OrganisationArchived, MemberNotFound, OrganisationOwnerRequired)
  @TokenAccess()
  remove(
    @CurrentAuthor() caller: Author,
    @OrganisationIdParam() id: string,
    @UserIdParam() userId: string,
  ): Promise<void> {
    return this.members.remove(caller, id, userId);
  }
}
