import { userIdProblem } from '../common/http/text.js';

/** Where a page of accounts ended; the database knows where that is. */
export interface AccountCursor {
  /** By which field the last account was found: 1 its id, 2 its name, 3 its e-mail. */
  found: number;
  userId: string;
}

export function encodeAccountCursor({ found, userId }: AccountCursor): string {
  return Buffer.from(JSON.stringify([found, userId])).toString('base64url');
}

/** Undefined for text that is no cursor of ours. */
export function decodeAccountCursor(cursor: string): AccountCursor | undefined {
  let values: unknown;
  try {
    values = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
  if (!Array.isArray(values) || values.length !== 2) return undefined;
  const [found, userId] = values as unknown[];
  if (found !== 1 && found !== 2 && found !== 3) return undefined;
  return userIdProblem(userId) === undefined ? { found, userId: userId as string } : undefined;
}
