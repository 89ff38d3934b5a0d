import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { decodeAccountCursor, encodeAccountCursor } from './account-cursor.js';
import {
  AccountDto,
  type AccountPageDto,
  type AccountRow,
  type AccountsQueryDto,
} from './dto/accounts.dto.js';

const FIELDS = ['user_id', 'username', 'email'];

/** No field is longer, in lower case too. */
const MAXIMUM_LENGTH = 1000;

/** The most accounts that one statement looks at for each field, however few of them are found by no earlier field. */
const LOOKED_AT = 10_000;

/**
 * The accounts found by one field, along one range of its index: $1 is how it begins, $2 the most rows, and $3 to $5
 * where the page before ended: by which field, at which value of it, and at which account. An account that an earlier
 * field finds is not found again. Once a page is full, or a field has been looked at only in part, the later fields are
 * not looked at; `reach` is where the looking ended. The numbers are selected: a planner who knows them takes all
 * accounts of the range to be fewer, and sorts these.
 */
function foundBy(field: string, index: number): string {
  const found = index + 1;
  const key = `lower(${field}) COLLATE "C"`;
  const earlier = FIELDS.slice(0, index);
  const counted = (fields: string[]) =>
    `${['0', ...fields.map((other) => `(SELECT count(*) FROM by_${other})`)].join(' + ')} < $2`;
  const range = [
    `${key} >= lower($1)`,
    // In its order: after the last one of the page before.
    `(${key}, user_id) > (CASE WHEN $3 = ${found} THEN $4 ELSE lower($1) END, CASE WHEN $3 = ${found} THEN $5 ELSE '' END)`,
    // The last character there is, more often than any field has characters: nothing that begins with $1 comes after it.
    `${key} <= lower($1) || repeat(chr(1114111), ${MAXIMUM_LENGTH})`,
    `$3 <= ${found}`,
    ...(index === 0 ? [] : [`$1 <> ''`]),
    ...earlier.map((other) => `NOT EXISTS (SELECT FROM reach_${other})`),
  ].join('\n       AND ');
  const inOrder = `FROM user_accounts WHERE ${range}`;
  const order = `ORDER BY ${key}, user_id`;
  const isNew = ['true', ...earlier.map((other) => `NOT starts_with(lower(${other}), lower($1))`)];
  return `by_${field} AS MATERIALIZED (
    SELECT * FROM (SELECT ${found} AS found, ${key} AS key, * ${inOrder} AND ${counted(earlier)} ${order} LIMIT (SELECT ${LOOKED_AT})) l
     WHERE ${isNew.join(' AND ')} ORDER BY key, user_id LIMIT $2
  ), reach_${field} AS MATERIALIZED (
    SELECT ${found} AS found, ${key} AS key, user_id ${inOrder} AND ${counted([...earlier, field])}
     ${order} OFFSET (SELECT ${LOOKED_AT - 1}) LIMIT 1)`;
}

const COLUMNS = `a.user_id, a.username, a.email, a.role, a.created_at, a.updated_at,
  coalesce(available_credits(a.user_id), 0) AS total,
  coalesce(held_credits(a.user_id), 0) AS held`;

export const SEARCH = {
  name: 'account_search',
  mayBeOld: true,
  text: `WITH ${FIELDS.map(foundBy).join(', ')}, page AS (
    ${FIELDS.map((field) => `SELECT * FROM by_${field}`).join(' UNION ALL ')}
    ORDER BY found, key, user_id LIMIT $2
  ), reach AS (${FIELDS.map((field) => `SELECT * FROM reach_${field}`).join(' UNION ALL ')})
  SELECT a.found, a.key, ${COLUMNS}, r.found AS reach_found, r.key AS reach_key, r.user_id AS reach_user_id
    FROM (SELECT) one LEFT JOIN reach r ON TRUE LEFT JOIN page a ON TRUE ORDER BY a.found, a.key, a.user_id`,
};

/** A row of a page, with where the looking ended before the page was full; of a page without accounts the rest is null. */
interface FoundRow extends AccountRow {
  found: number;
  key: string;
  reach_found: number | null;
  reach_key: string;
  reach_user_id: string;
}

const ACCOUNT = {
  name: 'account_with_credits',
  text: `SELECT ${COLUMNS} FROM user_accounts a WHERE a.user_id = $1`,
};

/** Accounts with their credits, for those who look after them. */
@Injectable()
export class AccountDirectoryService {
  constructor(private readonly database: Database) {}

  /** A page may be short, and even empty, before the list has ended. */
  async page({ search = '', limit, cursor }: AccountsQueryDto): Promise<AccountPageDto> {
    const after = cursor === undefined ? undefined : decodeAccountCursor(cursor);
    const found = await this.database.report<FoundRow>(SEARCH, [
      search.trim(),
      limit + 1,
      after?.found ?? 0,
      after?.key ?? '',
      after?.userId ?? '',
    ]);
    const rows = found.filter(({ user_id }) => user_id !== null);
    const items = rows.slice(0, limit).map((row) => AccountDto.from(row));
    const last = rows.length > limit ? rows[limit - 1] : undefined;
    if (last !== undefined) {
      const { found: field, key, user_id: userId } = last;
      return { items, nextCursor: encodeAccountCursor({ found: field, key, userId }) };
    }
    const [reach] = found;
    if (reach === undefined || reach.reach_found === null) return { items, nextCursor: null };
    const { reach_found, reach_key, reach_user_id } = reach;
    const nextCursor = encodeAccountCursor({ found: reach_found, key: reach_key, userId: reach_user_id });
    return { items, nextCursor };
  }

  /** @throws AccountNotFound */
  async account(userId: string): Promise<AccountDto> {
    const row = await this.database.row<AccountRow>(ACCOUNT, [userId]);
    if (row === undefined) throw new AccountNotFound();
    return AccountDto.from(row);
  }
}
