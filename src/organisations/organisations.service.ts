import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { IsNull, Repository } from 'typeorm';
import { RoleRequired } from '../auth/auth.errors.js';
import type { Once } from '../common/database/changes.js';
import { Database } from '../common/database/database.js';
import type { Author } from '../common/http/author.js';
import { type Caller, idempotencyScope } from '../common/http/caller.js';
import { idempotencyOf, type Idempotency } from '../common/http/idempotency.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import {
  type CreateOrganisationDto,
  type DescribedOrganisation,
  MyAccountDto,
  type MyAccountRow,
  OrganisationDto,
  type OrganisationPageDto,
  type RenameOrganisationDto,
} from './dto/organisations.dto.js';
import { decodeTextCursor, type TextPageQueryDto, toTextPage } from './dto/text-page.dto.js';
import { Member, type MemberRole } from './entities/member.entity.js';
import { Organisation } from './entities/organisation.entity.js';
import { OrganisationChanges, organisationChange, supervises } from './organisation-changes.js';
import { organisationIdOf } from './organisation-id.js';
import { OrganisationNotFound, OrganisationRoleRequired } from './organisations.errors.js';

const CREATE = organisationChange<
  Idempotency & { id: string; name: string; hasTooMany: boolean },
  DescribedOrganisation
>('organisation_create');
const RENAME = organisationChange<{ name: string }, DescribedOrganisation>('organisation_rename');
const ARCHIVE = organisationChange<object, DescribedOrganisation>('organisation_archive');

/**
 * Organisations that a user may create, without those that are archived: so many are soon asked for together. They are
 * counted by each instance, so at most one more is made for each further one.
 */
const MOST_CREATED = 100;

/** The personal account first, then organisations that are not archived, by name. */
const ACCOUNTS = {
  name: 'organisations_accounts_of_user',
  text: `SELECT a.account_id, a.kind, a.name, a.role, 
                least(coalesce(available_credits(a.account_id), 0), credits_room(a.account_id, $1, NULL)) AS available
           FROM (SELECT user_id AS account_id, 'personal' AS kind, username AS name, 'owner' AS role
                   FROM user_accounts WHERE user_id = $1
                 UNION ALL
                 SELECT o.account_id, 'organisation', o.name, m.role
                   FROM members m JOIN organisations o ON o.account_id = m.account_id
                  WHERE m.user_id = $1 AND o.archived_at IS NULL
                  ORDER BY kind DESC, name, account_id LIMIT 1000) a
          ORDER BY a.kind DESC, a.name, a.account_id`,
};

/** Organisations, and who sees them. Rules in README.md beside this file. */
@Injectable()
export class OrganisationsService {
  constructor(
    @InjectRepository(Organisation) private readonly organisations: Repository<Organisation>,
    private readonly changes: OrganisationChanges,
    private readonly database: Database,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** The caller becomes its owner. @throws RoleRequired, OrganisationIdTaken, TooManyOrganisations, IdempotencyMismatch */
  async create(
    caller: Author,
    request: CreateOrganisationDto,
    key: string | null,
  ): Promise<Once<OrganisationDto>> {
    if (this.config.organisationsCreatedBy === 'supervisors' && !supervises(caller))
      throw new RoleRequired('supervisor');
    const { name, id = organisationIdOf(name) } = request;
    const once = idempotencyOf(idempotencyScope(caller), CREATE.name, key, { id, name });
    const { answer, replayed } = await this.changes.run(CREATE, caller, caller.userId, async () => ({
      ...{ id, name, hasTooMany: !supervises(caller) && (await this.hasTooMany(caller)) },
      ...once,
    }));
    return { answer: OrganisationDto.from(answer), replayed };
  }

  private async hasTooMany({ userId }: Caller): Promise<boolean> {
    return (await this.organisations.countBy({ createdBy: userId, archivedAt: IsNull() })) >= MOST_CREATED;
  }

  /** Those of the caller, or all for supervisors, by id. */
  async page(caller: Caller, { limit, cursor }: TextPageQueryDto): Promise<OrganisationPageDto> {
    const query = this.organisations
      .createQueryBuilder('o')
      .orderBy('o.accountId')
      .limit(limit + 1);
    if (!supervises(caller))
      query.innerJoin(Member, 'm', 'm.accountId = o.accountId AND m.userId = :userId', {
        userId: caller.userId,
      });
    if (cursor !== undefined) query.where('o.accountId > :after', { after: decodeTextCursor(cursor) });
    return toTextPage(
      await query.getMany(),
      limit,
      ({ accountId }) => accountId,
      (row) => OrganisationDto.from(row),
    );
  }

  /** @throws OrganisationNotFound */
  async one(caller: Caller, id: string): Promise<OrganisationDto> {
    return OrganisationDto.from(await this.requireMember(caller, id));
  }

  /** @throws OrganisationNotFound, OrganisationRoleRequired, OrganisationArchived */
  async rename(caller: Author, id: string, { name }: RenameOrganisationDto): Promise<OrganisationDto> {
    return OrganisationDto.from((await this.changes.run(RENAME, caller, id, { name })).answer);
  }

  /** Again it changes nothing. @throws OrganisationNotFound, OrganisationRoleRequired, OrganisationSessionsActive */
  async archive(caller: Author, id: string): Promise<OrganisationDto> {
    return OrganisationDto.from((await this.changes.run(ARCHIVE, caller, id, {})).answer);
  }

  /** What the caller may spend from: at most 1,000 accounts. */
  async accountsOf({ userId }: Caller): Promise<MyAccountDto[]> {
    return (await this.database.report<MyAccountRow>(ACCOUNTS, [userId])).map((row) =>
      MyAccountDto.from(row),
    );
  }

  /**
   * The organisation, which for others than its members and supervisors does not exist.
   *
   * @param roles of the members who may read what is asked for; supervisors may always
   * @throws OrganisationNotFound, OrganisationRoleRequired
   */
  async requireMember(caller: Caller, id: string, roles?: readonly MemberRole[]): Promise<Organisation> {
    const organisation = await this.organisations.findOneBy({ accountId: id });
    if (organisation === null) throw new OrganisationNotFound();
    if (supervises(caller)) return organisation;
    const member = await this.organisations.manager.findOneBy(Member, {
      accountId: id,
      userId: caller.userId,
    });
    if (member === null) throw new OrganisationNotFound();
    if (roles !== undefined && !roles.includes(member.role)) throw new OrganisationRoleRequired();
    return organisation;
  }
}
