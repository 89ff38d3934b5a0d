import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { type Caller, hasRole } from '../common/http/caller.js';
import {
  type FoundRow,
  RESULT_KINDS,
  SearchResultDto,
  type SearchQueryDto,
  type SearchResultsDto,
} from './dto/search.dto.js';
import { wordQuery, wordsOf } from './words.js';

/** Sessions and calls that a search by the beginning of an id looks at, and calls of each account of a user. */
const LOOKED_AT = 10_000;
const LOOKED_AT_OF_ACCOUNT = 1000;
/** Organisations of a user that are looked at, by their id. */
const MOST_ORGANISATIONS = 100;
/** Price rules that match, however many a model has had. */
const RULES = 5000;

/**
 * A user may have a word that all have, such as a part of the e-mail's domain. So part of the table is looked at first, the
 * same part each time: where that alone has enough users, the index is not asked for all of them.
 */
const PART = 'user_accounts TABLESAMPLE SYSTEM (0.05) REPEATABLE (1)';
const PART_LOOKED_AT = 500;

/** $1 the text, $2 its words as a tsquery, $3 the most results of a kind and one. */
const hasWords = (text: string) => `${wordsOf(text)} @@ lower($2)::tsquery`;
/**
 * $3, which the planner does not see: if it knows the number, it reads tables from their beginning, in the hope to find so
 * many soon. A cluster refuses a subquery here.
 */
const MOST = '$3 + least(0, random()::integer)';
const USER_TEXT = `user_id || ' ' || username || ' ' || coalesce(email, '')`;
const RESULT = 'kind, rank, id, name, detail, account_id, user_id, record_id';

const user = (rank: number, from: string, end: string) =>
  `(SELECT 'user' AS kind, ${rank} AS rank, user_id AS id, username AS name, email AS detail, user_id AS account_id, user_id,
           NULL::bigint AS record_id FROM ${from} WHERE ${end})`;
/** Along the index of a field, in its order: however many users match, only the first are read. */
const userByField = (rank: number, field: string) => {
  const key = `lower(${field}) COLLATE "C"`;
  return user(rank, 'user_accounts', `${key} ^@ lower($1) ORDER BY ${key}, user_id LIMIT $3`);
};
/** Only while there are not enough by what is in these. */
const userByWord = (rank: number, from: string, before: string[]) =>
  user(
    rank,
    from,
    `${hasWords(USER_TEXT)} AND ${before.map((rows) => `(SELECT count(DISTINCT id) FROM ${rows})`).join(' + ')} < $3
     LIMIT ${MOST}`,
  );

const organisation = (from: string) =>
  `(SELECT 'organisation' AS kind, 1 AS rank, account_id AS id, name, NULL AS detail, account_id, NULL AS user_id,
           NULL::bigint AS record_id FROM ${from}
     WHERE ${hasWords(`account_id || ' ' || name`)} LIMIT ${MOST})`;

/** By the end that its hint shows, and by the words of its name. */
const apiKeys = (where: string) =>
  ['lower(right(key_hint, 4)) = lower(right($1, 4)) AND length($1) >= 4', hasWords('name')]
    .map(
      (
        found,
      ) => `(SELECT 'api_key', CASE WHEN is_active THEN 1 ELSE 2 END, id::text, name, key_hint, account_id, user_id, NULL
      FROM api_keys WHERE ${found} AND ${where} LIMIT ${MOST})`,
    )
    .join(' UNION ALL ');

const MODEL = `(SELECT 'model', 1, model_id, model_id, NULL, NULL, NULL, NULL FROM (
    SELECT model_id, effective_from, effective_to FROM pricing_rules
     WHERE ${hasWords('model_id')} LIMIT (SELECT ${RULES})) r
     WHERE effective_from <= now() AND (effective_to IS NULL OR effective_to > now()) AND model_id <> '*'
     GROUP BY model_id ORDER BY length(model_id), model_id LIMIT $3)`;

const session = (rank: number, from: string) =>
  `(SELECT 'session', ${rank}, session_id, model_id, status, account_id, user_id, usage_id FROM ${from} LIMIT $3)`;
const ACTIVE = `SELECT session_id, model_id, status, account_id, user_id, usage_id FROM streaming_sessions
   WHERE status = 'active'`;

/** Of calls, newest first, those whose session or request begins so. */
const newest = (calls: string) => `calls AS MATERIALIZED (
    SELECT * FROM (${calls}) c WHERE starts_with(session_id, $1) OR starts_with(request_id, $1)
     ORDER BY timestamp DESC LIMIT 2 * $3)`;
const CALL = `timestamp, id, account_id, user_id, session_id, request_id, operation, billing_status`;
const FROM_CALLS = `
  (SELECT 'session', 3, session_id, operation, 'ended', account_id, user_id, id FROM calls
    WHERE starts_with(session_id, $1) LIMIT $3)
  UNION ALL
  (SELECT 'request', 2, request_id, operation, billing_status, account_id, user_id, id FROM calls
    WHERE starts_with(request_id, $1) LIMIT $3)`;

export const EVERYTHING = {
  name: 'search_everything',
  // What it costs to find a text depends on the text.
  isPlannedAnew: true,
  mayBeOld: true,
  text: `WITH ${newest(`SELECT ${CALL} FROM usage_records ORDER BY timestamp DESC LIMIT ${LOOKED_AT}`)},
  by_field AS MATERIALIZED (
    ${['user_id', 'username', 'email'].map((field, index) => userByField(index + 1, field)).join(' UNION ALL ')}
  ), of_part AS MATERIALIZED (
    ${userByWord(4, `(SELECT * FROM ${PART} LIMIT ${PART_LOOKED_AT}) part`, ['by_field'])}
  )
  SELECT ${RESULT} FROM (
    SELECT * FROM by_field
    UNION ALL SELECT * FROM of_part
    UNION ALL ${userByWord(4, 'user_accounts', ['by_field', 'of_part'])}
    UNION ALL ${organisation('organisations')}
    UNION ALL ${apiKeys('true')}
    UNION ALL ${MODEL}
    UNION ALL ${session(2, `(${ACTIVE} LIMIT ${LOOKED_AT}) s WHERE starts_with(session_id, $1)`)}
    UNION ALL ${FROM_CALLS}) found`,
};

/** $4 the user, $5 the account: one statement for each account, because a cluster has it on one of its servers. */
const own = (name: string, first: string) => ({
  name,
  isPlannedAnew: true,
  mayBeOld: true,
  text: `WITH ${newest(`SELECT ${CALL} FROM usage_records WHERE account_id = $5 AND user_id = $4
      ORDER BY timestamp DESC LIMIT ${LOOKED_AT_OF_ACCOUNT}`)}
  SELECT ${RESULT} FROM (
    ${first}
    UNION ALL ${apiKeys('user_id = $4 AND account_id = $5')}
    UNION ALL ${session(
      1,
      '(SELECT * FROM streaming_sessions WHERE account_id = $5 AND user_id = $4 AND session_id = $1) s',
    )}
    UNION ALL ${session(
      2,
      `(${ACTIVE} AND account_id = $5 AND user_id = $4 LIMIT ${LOOKED_AT}) s WHERE starts_with(session_id, $1)`,
    )}
    UNION ALL
    (SELECT 'request', 1, request_id, operation, billing_status, account_id, user_id, id
       FROM usage_records WHERE account_id = $5 AND request_id = $1 AND user_id = $4 LIMIT $3)
    UNION ALL ${FROM_CALLS}) found`,
});
const OWN = own(
  'search_own',
  `${user(1, 'user_accounts', `user_id = $4 AND ${hasWords(USER_TEXT)}`)} UNION ALL ${MODEL}`,
);
const OWN_OF_ORGANISATION = own(
  'search_own_of_organisation',
  organisation('(SELECT * FROM organisations WHERE account_id = $5) o'),
);
/** What a member spends from an organisation is theirs while they are its member. */
const ORGANISATIONS = {
  name: 'search_organisations',
  mayBeOld: true,
  text: `SELECT account_id FROM members WHERE user_id = $1 ORDER BY account_id LIMIT ${MOST_ORGANISATIONS}`,
};

/** One search over what a caller may see. Rules in README.md beside this file. */
@Injectable()
export class SearchService {
  constructor(private readonly database: Database) {}

  async search(caller: Caller, { q, limit }: SearchQueryDto): Promise<SearchResultsDto> {
    const text = q.trim();
    const values = [text, wordQuery(text), limit + 1];
    const rows = hasRole(caller.role, 'supervisor')
      ? await this.database.report<FoundRow>(EVERYTHING, values)
      : await this.findOwn(caller.userId, values);
    const kinds = RESULT_KINDS.map((kind) => best(rows.filter((row) => row.kind === kind)));
    return {
      items: kinds.flatMap((found) => found.slice(0, limit).map((row) => SearchResultDto.from(row))),
      hasMore: kinds.some((found) => found.length > limit),
    };
  }

  private async findOwn(userId: string, values: unknown[]): Promise<FoundRow[]> {
    const rows = await this.database.report<FoundRow>(OWN, [...values, userId, userId]);
    const organisations = await this.database.report<{ account_id: string }>(ORGANISATIONS, [userId]);
    for (const { account_id } of organisations) {
      const more = await this.database.report<FoundRow>(OWN_OF_ORGANISATION, [...values, userId, account_id]);
      rows.push(...more);
    }
    return rows;
  }
}

/** Each once, by its best match; of two that match equally well, the shorter id first. */
function best(rows: FoundRow[]): FoundRow[] {
  const inOrder = [...rows].sort(
    (a, b) => a.rank - b.rank || a.id.length - b.id.length || (a.id < b.id ? -1 : 1),
  );
  const seen = new Map<string, FoundRow>();
  for (const row of inOrder) {
    const key = JSON.stringify([row.account_id, row.user_id, row.id]);
    if (!seen.has(key)) seen.set(key, row);
  }
  return [...seen.values()];
}
