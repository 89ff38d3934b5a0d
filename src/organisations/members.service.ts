import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { MoreThan, Repository } from 'typeorm';
import type { Once } from '../common/database/changes.js';
import type { Author } from '../common/http/author.js';
import type { Caller } from '../common/http/caller.js';
import type { Idempotency } from '../common/http/idempotency.js';
import {
  type AddMemberDto,
  type ChangeMemberDto,
  type DescribedMember,
  MemberDto,
  type MemberPageDto,
} from './dto/members.dto.js';
import { decodeTextCursor, type TextPageQueryDto, toTextPage } from './dto/text-page.dto.js';
import { Member, type MemberRole } from './entities/member.entity.js';
import { OrganisationChanges, organisationChange } from './organisation-changes.js';
import { OrganisationsService } from './organisations.service.js';

const ADD = organisationChange<
  Idempotency & { userId: string; role: MemberRole; unitId: number | null },
  DescribedMember
>('member_add');
const CHANGE = organisationChange<{ userId: string; changes: ChangeMemberDto }, DescribedMember>(
  'member_change',
);
const REMOVE = organisationChange<{ userId: string }>('member_remove');

const SEE_MEMBERS: readonly MemberRole[] = ['owner', 'admin', 'billing'];

/** Who belongs to an organisation. All methods throw OrganisationNotFound and OrganisationRoleRequired, changes OrganisationArchived. */
@Injectable()
export class MembersService {
  constructor(
    @InjectRepository(Member) private readonly members: Repository<Member>,
    private readonly organisations: OrganisationsService,
    private readonly changes: OrganisationChanges,
  ) {}

  /** @throws MemberExists, UnitNotFound, TooManyMembers, IdempotencyMismatch */
  async add(
    caller: Author,
    id: string,
    { userId, role, unitId }: AddMemberDto,
    key: string | null,
  ): Promise<Once<MemberDto>> {
    const request = { userId, role, unitId: unitId ?? null };
    const { answer, replayed } = await this.changes.once(ADD, caller, id, request, key);
    return { answer: MemberDto.from(answer), replayed };
  }

  /** By the users' ids. */
  async page(caller: Caller, id: string, { limit, cursor }: TextPageQueryDto): Promise<MemberPageDto> {
    await this.organisations.requireMember(caller, id, SEE_MEMBERS);
    const after = cursor === undefined ? undefined : decodeTextCursor(cursor);
    const rows = await this.members.find({
      where: { accountId: id, ...(after !== undefined && { userId: MoreThan(after) }) },
      order: { userId: 'ASC' },
      take: limit + 1,
    });
    return toTextPage(
      rows,
      limit,
      ({ userId }) => userId,
      (row) => MemberDto.from(row),
    );
  }

  /** Changes what is given. @throws MemberNotFound, OrganisationOwnerRequired, UnitNotFound */
  async change(caller: Author, id: string, userId: string, changes: ChangeMemberDto): Promise<MemberDto> {
    return MemberDto.from((await this.changes.run(CHANGE, caller, id, { userId, changes })).answer);
  }

  /** Also ends the API keys that the member made in the organisation. @throws MemberNotFound, OrganisationOwnerRequired */
  async remove(caller: Author, id: string, userId: string): Promise<void> {
    await this.changes.run(REMOVE, caller, id, { userId });
  }
}
