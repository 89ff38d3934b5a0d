import { ApiProperty } from '@nestjs/swagger';
import { idProblem, USER_ID_LENGTH } from '../../common/http/text.js';
import { CursorField, LimitQueryDto } from '../../common/http/page.js';

/** An id of 50 characters of up to four bytes each, in base64. */
const CURSOR_LENGTH = 268;

/** `?limit=&cursor=` of the lists that are ordered by an id which is a text. */
export class TextPageQueryDto extends LimitQueryDto {
  @CursorField((text) => decodeTextCursor(text) !== undefined, {
    maxLength: CURSOR_LENGTH,
    example: encodeTextCursor('alice'),
  })
  cursor?: string;
}

export class TextPageDto {
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}

function encodeTextCursor(id: string): string {
  return Buffer.from(id).toString('base64url');
}

/** The id after which a page begins; undefined for text that is no cursor of ours. */
export function decodeTextCursor(cursor: string): string | undefined {
  const id = Buffer.from(cursor, 'base64url').toString();
  return idProblem(id, USER_ID_LENGTH) === undefined && encodeTextCursor(id) === cursor ? id : undefined;
}

/** Cuts a result that was read one longer than asked for into a page and the cursor of the next. */
export function toTextPage<Row, Item>(
  rows: Row[],
  limit: number,
  idOf: (row: Row) => string,
  toItem: (row: Row) => Item,
): { items: Item[]; nextCursor: string | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const nextCursor = rows.length > limit && last !== undefined ? encodeTextCursor(idOf(last)) : null;
  return { items: page.map(toItem), nextCursor };
}
