import { isStorable, userIdProblem } from '../common/http/text.js';

/** Where a page of accounts ended. It stays there when the account's name or e-mail changes. */
export interface AccountCursor {
  /** By which field the last account was found: 1 its id, 2 its name, 3 its e-mail. */
  found: number;
  /** That field, in lower case. */
  key: string;
  userId: string;
}

export function encodeAccountCursor({ found, key, userId }: AccountCursor): string {
  return Buffer.from(JSON.stringify([found, key, userId])).toString('base64url');
}

/** Undefined for text that is no cursor of ours. */
export function decodeAccountCursor(cursor: string): AccountCursor | undefined {
  let values: unknown;
  try {
    values = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
  if (!Array.isArray(values) || values.length !== 3) return undefined;
  const [found, key, userId] = values as unknown[];
  if (found !== 1 && found !== 2 && found !== 3) return undefined;
  if (typeof key !== 'string' || !isStorable(key) || userIdProblem(userId) !== undefined) return undefined;
  return { found, key, userId: userId as string };
}
