import { ApiProperty } from '@nestjs/swagger';
import { toSafeInteger } from '../../common/database/transformers.js';
import { isoTime } from '../../common/http/time.js';
import { IdField, Together } from '../../common/http/validators.js';
import { MEMBER_ROLES, type MemberRole } from '../entities/member.entity.js';
import { ORGANISATION_ID_LENGTH, organisationIdProblem } from '../organisation-id.js';
import { TextPageDto } from './text-page.dto.js';

const NAME_LENGTH = 100;
const NAME = { description: 'Name of the organisation', example: 'Acme' };
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;

export class CreateOrganisationDto {
  @IdField(ORGANISATION_ID_LENGTH, {
    description:
      'Id of the organisation: `org:` and 1 to 41 of a–z, 0–9 and `-`, not beginning with `-`. Defaults to ' +
      'one made of the name',
    example: 'org:acme',
    required: false,
  })
  @Together('organisationId', ({ id }: CreateOrganisationDto) => organisationIdProblem(id))
  id?: string;

  @IdField(NAME_LENGTH, NAME)
  name: string;
}

export class RenameOrganisationDto {
  @IdField(NAME_LENGTH, NAME)
  name: string;
}

/** An organisation as its table or an operation has it. */
export interface DescribedOrganisation {
  accountId: string;
  name: string;
  createdAt: string | Date;
  archivedAt: string | Date | null;
}

export class OrganisationDto {
  @ApiProperty({ description: 'Id of the organisation, which is also its `accountId`', example: 'org:acme' })
  id: string;
  @ApiProperty({ example: 'Acme' }) name: string;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty({
    ...TIME,
    nullable: true,
    description: 'When the organisation was archived; null: it is not',
    example: null,
  })
  archivedAt: string | null;

  static from({ accountId, name, createdAt, archivedAt }: DescribedOrganisation): OrganisationDto {
    return {
      id: accountId,
      name,
      createdAt: isoTime(createdAt),
      archivedAt: archivedAt === null ? null : isoTime(archivedAt),
    };
  }
}

export class OrganisationPageDto extends TextPageDto {
  @ApiProperty({ type: () => [OrganisationDto] }) items: OrganisationDto[];
}

export const ACCOUNT_KINDS = ['personal', 'organisation'] as const;
export type AccountKind = (typeof ACCOUNT_KINDS)[number];

/** An account of a user, as the database gives it. */
export interface MyAccountRow {
  account_id: string;
  kind: AccountKind;
  name: string;
  role: MemberRole;
  available: string;
}

export class MyAccountDto {
  @ApiProperty({ description: 'The account, as `accountId` of other requests', example: 'org:acme' })
  accountId: string;
  @ApiProperty({ enum: ACCOUNT_KINDS, enumName: 'AccountKind', example: 'organisation' }) kind: AccountKind;
  @ApiProperty({ description: 'Name of the organisation, or of the user', example: 'Acme' }) name: string;
  @ApiProperty({
    enum: MEMBER_ROLES,
    enumName: 'MemberRole',
    description: 'Role of the user in the account; `owner` of the personal one',
    example: 'member',
  })
  role: MemberRole;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 0,
    description: 'Credits that you can spend now: the balance, or what your budgets leave of it',
    example: 996,
  })
  availableCredits: number;

  static from(row: MyAccountRow): MyAccountDto {
    return {
      accountId: row.account_id,
      kind: row.kind,
      name: row.name,
      role: row.role,
      availableCredits: toSafeInteger(row.available),
    };
  }
}
