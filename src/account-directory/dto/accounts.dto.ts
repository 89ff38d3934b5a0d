import { ApiProperty } from '@nestjs/swagger';
import { ROLES, type Role, roleOf } from '../../common/http/caller.js';
import { toSafeInteger } from '../../common/database/transformers.js';
import { CursorField, LimitQueryDto } from '../../common/http/page.js';
import { isoTime } from '../../common/http/time.js';
import { TextField } from '../../common/http/validators.js';
import { decodeAccountCursor, encodeAccountCursor } from '../account-cursor.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
/** As long as the longest of the fields that are searched. */
const SEARCH_LENGTH = 255;
/** An e-mail of 255 characters of up to four bytes each and an id of 50, in base64, with room for escapes. */
const CURSOR_LENGTH = 2000;

export class AccountsQueryDto extends LimitQueryDto {
  @TextField(SEARCH_LENGTH, {
    description:
      'Prefix of the user’s id, name or e-mail, in upper or lower case. All accounts are listed if it is ' +
      'omitted or empty',
    example: 'ali',
    required: false,
  })
  search?: string;

  @CursorField((text) => decodeAccountCursor(text) !== undefined, {
    maxLength: CURSOR_LENGTH,
    example: encodeAccountCursor({ found: 1, key: 'alice', userId: 'alice' }),
  })
  cursor?: string;
}

/** An account as the database gives it. */
export interface AccountRow {
  user_id: string;
  username: string;
  email: string | null;
  role: string;
  created_at: Date;
  updated_at: Date;
  total: string;
  held: string;
}

export class AccountDto {
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ example: 'alice' }) username: string;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description:
      'null if an allocation created the account without an e-mail and the user has not yet sent an ' +
      'access token',
    example: 'alice@example.com',
  })
  email: string | null;
  @ApiProperty({
    enum: ROLES,
    enumName: 'Role',
    description: 'Role in the user’s last access token',
    example: 'user',
  })
  role: Role;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty({ ...TIME, description: 'When the name, e-mail or role last changed' }) updatedAt: string;
  @ApiProperty({ ...CREDITS, description: 'Credits that can be spent now', example: 996 })
  totalCredits: number;
  @ApiProperty({ ...CREDITS, description: 'Credits held by active sessions', example: 4 })
  heldCredits: number;

  static from(row: AccountRow): AccountDto {
    return {
      userId: row.user_id,
      username: row.username,
      email: row.email,
      role: roleOf(row.role),
      createdAt: isoTime(row.created_at),
      updatedAt: isoTime(row.updated_at),
      totalCredits: toSafeInteger(row.total),
      heldCredits: toSafeInteger(row.held),
    };
  }
}

export class AccountPageDto {
  @ApiProperty({ type: () => [AccountDto] }) items: AccountDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}
