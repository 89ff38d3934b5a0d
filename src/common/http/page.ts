import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ValidateBy, ValidateIf } from 'class-validator';
import { IntegerQuery, OnBehalfField, PayerField } from './validators.js';

export const DEFAULT_PAGE_SIZE = 50;
export const MAXIMUM_PAGE_SIZE = 200;

/** Base64 as URLs have it. */
const CURSOR = /^[A-Za-z0-9_-]+$/;

/** `?limit=` of every list. */
export class LimitQueryDto {
  @IntegerQuery(1, MAXIMUM_PAGE_SIZE, {
    description: 'Maximum number of items to return',
    example: 50,
    default: DEFAULT_PAGE_SIZE,
  })
  limit: number = DEFAULT_PAGE_SIZE;
}

/** `?cursor=`: what an earlier answer gave, and nothing else. */
export function CursorField(
  isCursor: (text: string) => boolean,
  { maxLength, example }: { maxLength: number; example: string },
): PropertyDecorator {
  return applyDecorators(
    ApiProperty({
      type: 'string',
      required: false,
      description: '`nextCursor` of the previous page',
      minLength: 1,
      maxLength,
      pattern: CURSOR.source,
      example,
    }),
    ValidateIf((_, value) => value !== undefined),
    ValidateBy({
      name: 'cursor',
      validator: {
        validate: (value) =>
          typeof value === 'string' && value.length <= maxLength && CURSOR.test(value) && isCursor(value),
        defaultMessage: () => 'must be the nextCursor of an earlier answer',
      },
    }),
  );
}

/** Whether a text is a cursor of the lists that are ordered by id. */
export const isCursor = (text: string) => decodeCursor(text) !== undefined;

/** `?limit=&cursor=` of the lists that are ordered by id. */
export class PageQueryDto extends LimitQueryDto {
  @CursorField(isCursor, {
    maxLength: 40,
    example: 'MTIz',
  })
  cursor?: string;
}

/** The same for lists of a caller's own. */
export class OwnPageQueryDto extends PageQueryDto {
  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

/** The id after which a page begins; undefined for text that is no cursor of ours. */
export function decodeCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
}

export function encodeCursor(id: number): string {
  return Buffer.from(String(id), 'latin1').toString('base64url');
}

/** Cuts a result that was read one longer than asked for into a page and the cursor of the next. */
export function toPage<Row extends { id: number }, Item>(
  rows: Row[],
  limit: number,
  toItem: (row: Row) => Item,
): { items: Item[]; nextCursor: string | null } {
  const page = rows.slice(0, limit);
  const last = page[page.length - 1];
  return {
    items: page.map(toItem),
    nextCursor: rows.length > limit && last ? encodeCursor(last.id) : null,
  };
}
