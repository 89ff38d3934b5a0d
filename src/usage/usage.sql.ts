/** The record in the row `row`, of all columns of usage_records, as the API returns it. */
export const recordJson = (row: string) => `usage_json(ROW(${row}.*)::usage_records)`;

/** A chat of every outcome, also one that failed, was aborted or timed out: it belongs to its model, its operation. */
export const IS_CHAT = `counted_service(service) <> ''`;

/** The names that a record is counted under in the roll-ups, as SQL's `count_usage` has them; '' is none. */
export const COUNTED_NAMES = `CASE WHEN counted_as_other THEN counted_service(service) ELSE service END,
           CASE WHEN counted_as_other THEN '' ELSE operation END`;

/** Names that a map of an answer has at most, so that no stored data makes an answer of many megabytes. */
const NAMED = 200;
/** The newest days that a map names: a leap year. */
const NAMED_DAYS = 366;
/** Models that `byDayAndModel` names on each of the days. */
const NAMED_MODELS = 20;
/**
 * The name of the rest. Where there is a rest, a service or model that is really called so is part of it, or it would not
 * be known what the name stands for: so it is the last to be named.
 */
const REST = 'other';
const lastRest = (key: string) => `${key} = '${REST}', sum(credits) DESC, ${key} COLLATE "C"`;

/** The last of the days that are too old to be named, as a table beside `sums`. */
export const NAMED_SINCE = `oldest AS MATERIALIZED (
    SELECT coalesce((SELECT day FROM (SELECT DISTINCT day FROM sums) d ORDER BY day DESC OFFSET ${NAMED_DAYS} LIMIT 1),
                    '-infinity') AS day
  )`;
const IS_OLD = 'day <= (SELECT day FROM oldest)';
const DAY = `CASE WHEN ${IS_OLD} THEN '${REST}' ELSE to_char(day, 'YYYY-MM-DD') END`;

/** The columns of a roll-up, added up. */
export const ADDED_UP = `sum(records) AS records, sum(credits) AS credits, sum(provider_cost_usd) AS provider_cost_usd,
           sum(costed_records) AS costed_records, sum(costed_credits) AS costed_credits,
           sum(unpriced_records) AS unpriced_records, sum(charged_credits) AS charged_credits,
           sum(uncollected_credits) AS uncollected_credits`;

/** A map of an answer. */
export interface Named<Value> {
  names: Record<string, Value>;
  /** Whether some of what it adds up is not named, but part of the rest. */
  isCut: boolean;
}

/** A JSON object as above, out of rows with a name, a value and whether they are part of the rest. */
const named = (rows: string) =>
  `(SELECT json_build_object('names', coalesce(json_object_agg(name, value ORDER BY name), '{}'),
                             'isCut', coalesce(bool_or(is_cut), FALSE)) FROM (${rows}) n)`;

/** By a name: those with the most credits, and the rest. Equal ones are taken in the order of their bytes. */
export const byNames = (
  key: 'service' | 'operation' | 'user_id' | 'unit_id::text',
  value: string,
  where = 'true',
  rows = 'sums',
) =>
  named(`SELECT CASE WHEN is_cut THEN '${REST}' ELSE key END AS name, ${value} AS value, bool_or(is_cut) AS is_cut FROM (
       SELECT ${key} AS key, ${ADDED_UP}, ${key} = '' OR row_number() OVER (
                ORDER BY ${key} = '', ${lastRest(key)}) > ${NAMED} AS is_cut
         FROM ${rows} WHERE ${where} GROUP BY 1) k GROUP BY 1`);

/** By the newest days, and the rest. */
export const byDays = (value: string) =>
  named(`SELECT ${DAY} AS name, ${value} AS value, bool_or(${IS_OLD}) AS is_cut FROM sums GROUP BY 1`);

/** Credits of chats by day, and in each by model. Names that are equally large are taken in the order of their bytes. */
export const BY_DAY_AND_MODEL = named(
  `SELECT day AS name, json_object_agg(model, credits ORDER BY model) AS value, bool_or(is_cut) AS is_cut FROM (
     SELECT ${DAY} AS day, CASE WHEN is_named THEN operation ELSE '${REST}' END AS model, sum(credits) AS credits,
            bool_or(${IS_OLD} OR NOT is_named) AS is_cut
       FROM (SELECT *, operation IN (SELECT operation FROM sums WHERE ${IS_CHAT} AND operation <> ''
                                      GROUP BY 1 ORDER BY ${lastRest('operation')} LIMIT ${NAMED_MODELS}) AS is_named
               FROM sums WHERE ${IS_CHAT}) c GROUP BY 1, 2) d GROUP BY 1`,
);

/** What an answer calls an operation. */
export const OPERATION = `CASE operation WHEN '' THEN '${REST}' ELSE operation END`;
