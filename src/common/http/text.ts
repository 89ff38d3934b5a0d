/** Longest user id: the width of the column, and of the token's `sub`. */
export const USER_ID_LENGTH = 50;

/** Segments that a URL does not keep, however they are encoded. */
const LOST_IN_URLS: readonly string[] = ['.', '..'];

/** Ids that no user may bear in any case: what a route has in the place of a user's id, and what a URL does not keep. */
const RESERVED_USER_IDS: readonly string[] = ['all', 'mine', ...LOST_IN_URLS];

/** Beginnings of what is no user: the ledger names services so, and organisations are accounts of this form. */
const RESERVED_PREFIXES: readonly string[] = ['service:', 'org:'];

// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * Line separators, and what is not seen (Unicode's Default_Ignorable_Code_Point, annotations, and the blank of Braille) or turns
 * the direction of a text: two ids that look the same are not the same. As is_user_id.sql.
 */
const HIDDEN_CHARACTERS = /[\u2028-\u202e\u2800\ufff9-\ufffb]|\p{Default_Ignorable_Code_Point}/u;

/** Whether a text can be stored as it is: PostgreSQL takes no NUL, and a lone surrogate is no character. */
export function isStorable(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed();
}

/** An id as the document describes it: no control characters, no blanks around it. */
export const ID_PATTERN =
  '^[^\\s\\x00-\\x1f\\x7f-\\x9f]([^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f])?$';

/** Why a text is not fit to be an id (no control characters, no blanks around it), or undefined when it is. */
export function idProblem(value: unknown, maximumLength: number): string | undefined {
  if (typeof value !== 'string') return 'must be a string';
  if (value.length === 0) return 'must not be empty';
  if (value.length > maximumLength) return `must have at most ${maximumLength} characters`;
  if (CONTROL_CHARACTERS.test(value) || !value.isWellFormed()) return 'must not contain control characters';
  if (value.trim() !== value) return 'must not begin or end with blanks';
  return undefined;
}

/** The same for an id that a path has: a price rule of a model that no URL can name could not be read. */
export function pathIdProblem(value: unknown, maximumLength: number): string | undefined {
  const problem = idProblem(value, maximumLength);
  if (problem !== undefined) return problem;
  return LOST_IN_URLS.includes(value as string) ? `must not be "${value as string}"` : undefined;
}

/** Why a value is not a user id, or undefined when it is. */
export function userIdProblem(value: unknown): string | undefined {
  const problem = idProblem(value, USER_ID_LENGTH);
  if (problem !== undefined) return problem;
  if (HIDDEN_CHARACTERS.test(value as string)) return 'must not contain invisible characters';
  const prefix = RESERVED_PREFIXES.find((each) => (value as string).startsWith(each));
  if (prefix !== undefined) return `must not begin with "${prefix}"`;
  return RESERVED_USER_IDS.includes((value as string).toLowerCase())
    ? `must not be "${value as string}"`
    : undefined;
}

/** Organisations are accounts with ids of this form. As organisation_create.sql. */
export const ORGANISATION_ID = /^org:[a-z0-9][a-z0-9-]{0,40}$/;

export const isOrganisationId = (id: string): boolean => ORGANISATION_ID.test(id);

/** Why a value is not an account's id, a user's or an organisation's, or undefined when it is. */
export function accountIdProblem(value: unknown): string | undefined {
  if (typeof value !== 'string' || !value.startsWith('org:')) return userIdProblem(value);
  return isOrganisationId(value)
    ? undefined
    : 'must be "org:" and then lower-case letters, digits and hyphens';
}

/** An unknown field is named as the caller wrote it, but not at any length. */
const MAXIMUM_FIELD_LENGTH = 100;

/** A name of blanks alone is quoted: it would be invisible. */
export function nameOf(field: string): string {
  return field.trim() === '' ? JSON.stringify(field.slice(0, 10)) : field.slice(0, MAXIMUM_FIELD_LENGTH);
}
