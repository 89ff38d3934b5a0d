import { ApiProperty } from '@nestjs/swagger';
import { isoTime } from '../../common/http/time.js';
import { EnumField, IntegerField, UserIdField } from '../../common/http/validators.js';
import { MEMBER_ROLES, type MemberRole } from '../entities/member.entity.js';
import { TextPageDto } from './text-page.dto.js';

const ROLE = {
  description:
    '`owner`: everything; `admin`: everything but owners and archiving; `billing`: sees the members; ' +
    '`member`: spends',
  example: 'member',
};
const UNIT = { description: 'Unit that the member is in; null: none', example: 1, required: false };

export class AddMemberDto {
  @UserIdField({ description: 'The user, also before their first token', example: 'bob' })
  userId: string;

  @EnumField('MemberRole', MEMBER_ROLES, ROLE)
  role: MemberRole;

  @IntegerField(1, Number.MAX_SAFE_INTEGER, UNIT)
  unitId?: number;
}

export class ChangeMemberDto {
  @EnumField('MemberRole', MEMBER_ROLES, { ...ROLE, required: false })
  role?: MemberRole;

  @IntegerField(1, Number.MAX_SAFE_INTEGER, { ...UNIT, nullable: true })
  unitId?: number | null;
}

/** A member as the table or an operation has it. */
export interface DescribedMember {
  userId: string;
  role: MemberRole;
  unitId: number | null;
  addedAt: string | Date;
}

export class MemberDto {
  @ApiProperty({ example: 'bob' }) userId: string;
  @ApiProperty({ enum: MEMBER_ROLES, enumName: 'MemberRole', example: 'member' }) role: MemberRole;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 1,
    nullable: true,
    description: 'Unit that the member is in; null: none',
    example: 1,
  })
  unitId: number | null;
  @ApiProperty({ type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' }) addedAt: string;

  static from({ userId, role, unitId, addedAt }: DescribedMember): MemberDto {
    return { userId, role, unitId, addedAt: isoTime(addedAt) };
  }
}

export class MemberPageDto extends TextPageDto {
  @ApiProperty({ type: () => [MemberDto] }) items: MemberDto[];
}
