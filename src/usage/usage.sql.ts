/** The record in the row `row`, of all columns of usage_records, as the API returns it. */
export const recordJson = (row: string) => `usage_json(ROW(${row}.*)::usage_records)`;

/** What the design calls a model: the operation of chat calls. */
export const IS_CHAT = `service IN ('chat', 'chat-streaming')`;

/** The names that a record is counted under in the roll-ups, as SQL's `count_usage` has them. */
export const COUNTED_NAMES = `CASE WHEN counted_as_other AND NOT ${IS_CHAT} THEN 'other' ELSE service END,
           CASE WHEN counted_as_other THEN 'other' ELSE operation END`;

/** Names that a map of an answer has at most, so that no stored data makes an answer of many megabytes. */
const NAMED = 200;
/** The newest days that a map names: a leap year. */
const NAMED_DAYS = 366;
/** Models that `byDayAndModel` names on each of the days. */
const NAMED_MODELS = 20;
/**
 * The name of the rest. A service or model that is called so is part of it, or it would not be known what the name stands
 * for.
 */
export const REST = 'other';

/** The last of the days that are too old to be named, as a table beside `sums`. */
export const NAMED_SINCE = `oldest AS MATERIALIZED (
    SELECT coalesce((SELECT day FROM (SELECT DISTINCT day FROM sums) d ORDER BY day DESC OFFSET ${NAMED_DAYS} LIMIT 1),
                    '-infinity') AS day
  )`;
const DAY = `CASE WHEN day > (SELECT day FROM oldest) THEN to_char(day, 'YYYY-MM-DD') ELSE '${REST}' END`;

/** The columns of a roll-up, added up. */
export const ADDED_UP = `sum(records) AS records, sum(credits) AS credits, sum(provider_cost_usd) AS provider_cost_usd,
           sum(costed_records) AS costed_records, sum(costed_credits) AS costed_credits,
           sum(unpriced_records) AS unpriced_records`;

/** A map of names, out of `sums`: what a range adds up to by day, service and operation. */
interface Named {
  /** The rows to add up; their column `name` is what they are added up by. */
  readonly rows: string;
}

/** By a name of the caller's: those with the most credits, and the rest. Equal ones are taken in the order of their bytes. */
export const byNames = (key: 'service' | 'operation', where = 'true'): Named => ({
  rows: `(SELECT *, CASE WHEN key <> '${REST}' AND place <= ${NAMED} THEN key ELSE '${REST}' END AS name FROM (
       SELECT *, row_number() OVER (ORDER BY key = '${REST}', credits DESC, key COLLATE "C") AS place FROM (
         SELECT ${key} AS key, ${ADDED_UP} FROM sums WHERE ${where} GROUP BY 1) k) p)`,
});

/** By the newest days, and the rest. */
export const byDays: Named = { rows: `(SELECT *, ${DAY} AS name FROM sums)` };

/** A JSON object of `value`, an aggregate over the columns of a roll-up, for each name. */
export const mapOf = ({ rows }: Named, value: string) =>
  `coalesce((SELECT json_object_agg(name, value ORDER BY name) FROM (
     SELECT name, ${value} AS value FROM ${rows} r GROUP BY 1) m), '{}')`;

/** Credits of chats by day, and in each by model. Names that are equally large are taken in the order of their bytes. */
export const BY_DAY_AND_MODEL = `coalesce((SELECT json_object_agg(day, models ORDER BY day) FROM (
     SELECT day, json_object_agg(model, credits ORDER BY model) AS models FROM (
       SELECT ${DAY} AS day, sum(credits) AS credits, CASE WHEN operation IN (
                SELECT operation FROM sums WHERE ${IS_CHAT} AND operation <> '${REST}'
                 GROUP BY 1 ORDER BY sum(credits) DESC, operation COLLATE "C" LIMIT ${NAMED_MODELS})
              THEN operation ELSE '${REST}' END AS model
         FROM sums WHERE ${IS_CHAT} GROUP BY 1, 3) c GROUP BY 1) d), '{}')`;
