import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { isoTime } from '../common/http/time.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { UsageAnswer } from './usage.operations.js';
import type { TimeRange } from './dto/usage.requests.js';
import {
  type MarginDto,
  type SystemStatsDto,
  type TruncatedField,
  type UnpricedModelDto,
  type UsageBreakdownDto,
  type UsageGroupDto,
  UsageRecordDto,
  type UsageStatsDto,
} from './dto/usage.responses.js';
import {
  ADDED_UP,
  BY_DAY_AND_MODEL,
  COUNTED_NAMES,
  byDays,
  byNames,
  IS_CHAT,
  type Named,
  NAMED_SINCE,
  OPERATION,
  recordJson,
} from './usage.sql.js';

const COUNTED = `service, operation, records, credits, provider_cost_usd, costed_records, costed_credits,
           unpriced_records, charged_credits, uncollected_credits`;
/** Single records in the columns of a roll-up. */
const FROM_RECORDS = `
    SELECT account_id, user_id, coalesce(unit_id, 0), (timestamp AT TIME ZONE 'UTC')::date, ${COUNTED_NAMES}, 1, credits,
           coalesce(provider_cost_usd, 0), (provider_cost_usd IS NOT NULL)::integer,
           CASE WHEN provider_cost_usd IS NULL OR billing_status = 'recorded' THEN 0 ELSE credits - uncollected_credits END,
           (pricing_source IS NOT DISTINCT FROM 'fallback')::integer,
           CASE WHEN billing_status = 'recorded' THEN 0 ELSE credits - uncollected_credits END,
           CASE WHEN billing_status = 'recorded' THEN 0 ELSE uncollected_credits END
      FROM usage_records`;

/**
 * $1 and $2 are the half-open range, NULL for an open end. Each bound is read as a value of its own, not joined: so the
 * planner sees both ends of a range, and looks it up in an index.
 */
const BOUNDS = `
  days AS (
    -- The first whole day at or after the start, and the day the end falls into.
    SELECT coalesce((date_trunc('day', $1::timestamptz AT TIME ZONE 'UTC' + interval '1 day' - interval '1 microsecond'))
                      ::date, '-infinity') AS first_day,
           coalesce(($2::timestamptz AT TIME ZONE 'UTC')::date, 'infinity') AS end_day
  ), bounds AS (
    SELECT first_day, end_day, first_day::timestamp AT TIME ZONE 'UTC' AS t_first,
           end_day::timestamp AT TIME ZONE 'UTC' AS t_end FROM days
  )`;

const [FIRST_DAY, END_DAY, T_FIRST, T_END] = ['first_day', 'end_day', 't_first', 't_end'].map(
  (name) => `(SELECT ${name} FROM bounds)`,
);

/**
 * The rows that statistics add up: whole UTC days from the daily roll-up, broken days at both ends from the records.
 *
 * @param since the first of the whole days
 */
function facts(filter: string, since = FIRST_DAY): string {
  return `(
    SELECT account_id, user_id, unit_id, day, ${COUNTED}
      FROM usage_daily
     WHERE ${filter} day >= ${since} AND day < ${END_DAY} AND records > 0
    UNION ALL ${FROM_RECORDS}
     WHERE ${filter} timestamp >= $1 AND timestamp < least(${T_FIRST}, $2)
    UNION ALL ${FROM_RECORDS}
     -- When both ends fall into one day, the branch above has it all.
     WHERE ${filter} timestamp < $2 AND timestamp >= ${T_END} AND ${END_DAY} >= ${FIRST_DAY})`;
}

/** Added up once: every total below reads these few rows. */
const SUMS_OF_ALL = (rows: string) => `sums AS MATERIALIZED (
    SELECT day, service, operation, ${ADDED_UP}
      FROM ${rows} r GROUP BY 1, 2, 3 HAVING sum(records) > 0
  ), ${NAMED_SINCE}`;
/** The same of an account, and beside them the sums of its users and of its units (0: none). */
const SUMS_OF_ACCOUNT = (rows: string) => `added AS MATERIALIZED (
    SELECT day, service, operation, user_id, unit_id, ${ADDED_UP}
      FROM ${rows} r GROUP BY GROUPING SETS ((day, service, operation), (user_id), (unit_id)) HAVING sum(records) > 0
  ), sums AS (SELECT * FROM added WHERE day IS NOT NULL), ${NAMED_SINCE}`;

const CLOSED_UNTIL = '(SELECT closed_until FROM usage_closing)';
const CLOSED_DAYS = `day >= ${FIRST_DAY} AND day < least(${END_DAY}, ${CLOSED_UNTIL})`;
/** The same without users: closed days from the totals, with what has changed in them since; the others as above. */
const FACTS_OF_ALL = `(
    SELECT day, ${COUNTED} FROM usage_totals WHERE ${CLOSED_DAYS}
    UNION ALL
    SELECT day, ${COUNTED} FROM usage_corrections WHERE ${CLOSED_DAYS}
    UNION ALL
    SELECT day, ${COUNTED} FROM ${facts('', `greatest(${FIRST_DAY}, ${CLOSED_UNTIL})`)} f)`;

const TOTALS = `
  (SELECT coalesce(sum(records), 0) FROM sums) AS records,
  (SELECT coalesce(sum(credits), 0) FROM sums) AS credits,
  (SELECT coalesce(sum(charged_credits), 0) FROM sums) AS collected,
  (SELECT coalesce(sum(uncollected_credits), 0) FROM sums) AS uncollected,
  ${byNames('service', 'sum(credits)')} AS by_service,
  ${byDays('sum(credits)')} AS by_day,
  ${byNames('operation', 'sum(credits)', IS_CHAT)} AS by_model,
  ${BY_DAY_AND_MODEL} AS by_day_and_model`;

const ofAccount = (name: string, whose: string) => ({
  name,
  mayBeOld: true,
  text: `WITH ${BOUNDS}, ${SUMS_OF_ACCOUNT(facts(`${whose} AND`))}
  SELECT ${TOTALS},
    ${byNames('user_id', 'sum(credits)', 'user_id IS NOT NULL', 'added')} AS by_user,
    ${byNames('unit_id::text', 'sum(credits)', 'unit_id > 0', 'added')} AS by_unit,
    EXISTS (SELECT 1 FROM credit_balances WHERE account_id = $3) AS known,
    (SELECT json_build_array(count(*), coalesce(sum(uncollected_credits), 0))
       FROM usage_records WHERE ${whose} AND billing_status = 'needs_review'
        AND ($1::timestamptz IS NULL OR timestamp >= $1) AND ($2::timestamptz IS NULL OR timestamp < $2)) AS review,
    coalesce((SELECT json_agg(${recordJson('r')}
        ORDER BY timestamp DESC, id DESC)
      FROM (SELECT * FROM usage_records
             WHERE ${whose} AND ($1::timestamptz IS NULL OR timestamp >= $1)
               AND ($2::timestamptz IS NULL OR timestamp < $2)
             ORDER BY timestamp DESC, id DESC LIMIT 10) r), '[]') AS recent`,
});
export const USER_STATS = ofAccount('usage_user_stats', 'account_id = $3');
/** The last condition is that of the indexes on what members of organisations spend. */
const MEMBER_STATS = ofAccount(
  'usage_member_stats',
  'account_id = $3 AND user_id = $4 AND user_id <> account_id',
);

/** The most records of a range that a breakdown adds up: keys and tags are in no roll-up. */
const BROKEN_DOWN = 50_000;
const GROUPS = 200;
const GROUP = `json_build_object('name', name, 'records', records, 'credits', credits)`;
/** $4: a member's own, or NULL for everyone's; $5: the name of the tag, or NULL for API keys. */
const BREAKDOWN = {
  name: 'usage_breakdown',
  mayBeOld: true,
  isPlannedAnew: true,
  text: `WITH newest AS MATERIALIZED (
    SELECT timestamp, credits, CASE WHEN $5::text IS NULL THEN api_key_id::text ELSE tags ->> $5 END AS name,
           row_number() OVER (ORDER BY timestamp DESC, id DESC) AS n
      FROM usage_records
     WHERE account_id = $3 AND ($4::text IS NULL OR user_id = $4 AND user_id <> account_id)
       AND timestamp >= coalesce($1::timestamptz, '-infinity') AND timestamp < coalesce($2::timestamptz, 'infinity')
     ORDER BY timestamp DESC, id DESC LIMIT ${BROKEN_DOWN + 1}
  ), groups AS (
    SELECT name, count(*) AS records, sum(credits) AS credits,
           row_number() OVER (ORDER BY sum(credits) DESC, name COLLATE "C") AS place
      FROM newest WHERE n <= ${BROKEN_DOWN} GROUP BY 1
  ), added AS (
    SELECT CASE WHEN place <= ${GROUPS} THEN name END AS name, sum(records) AS records,
           least(sum(credits), ${Number.MAX_SAFE_INTEGER}) AS credits, least(place, ${GROUPS + 1}) AS place
      FROM groups GROUP BY 1, 4
  )
  SELECT EXISTS (SELECT FROM credit_balances WHERE account_id = $3) AS known,
         (SELECT coalesce(json_agg(${GROUP} ORDER BY place) FILTER (WHERE place <= ${GROUPS}), '[]') FROM added) AS groups,
         (SELECT ${GROUP} FROM added WHERE place > ${GROUPS}) AS other,
         (SELECT timestamp FROM newest WHERE n = ${BROKEN_DOWN}
             AND EXISTS (SELECT FROM newest WHERE n > ${BROKEN_DOWN})) AS since`,
};

/** Exact to 18 decimals; $4 is the credits that are one USD. */
const usd = (credits: string) => `trim_scale(round(${credits}::numeric / $4::numeric, 18))`;

/**
 * What was collected for calls beside what the provider charged for them. The margin is made of the records whose cost is known; where it
 * is known of none, cost and margin are null and not 0.
 */
const MARGIN = `json_build_object(
    'credits', sum(credits), 'creditsUsd', ${usd('sum(credits)')}::text,
    'collectedCredits', sum(charged_credits), 'uncollectedCredits', sum(uncollected_credits),
    'recordedCredits', sum(credits) - sum(charged_credits) - sum(uncollected_credits),
    'incomeUsd', ${usd('sum(charged_credits)')}::text,
    'costedIncomeUsd', CASE WHEN sum(costed_records) > 0 THEN ${usd('sum(costed_credits)')}::text END,
    'providerCostUsd', CASE WHEN sum(costed_records) > 0 THEN trim_scale(sum(provider_cost_usd))::text END,
    'marginUsd', CASE WHEN sum(costed_records) > 0
                      THEN trim_scale(${usd('sum(costed_credits)')} - sum(provider_cost_usd))::text END,
    'records', sum(records), 'costedRecords', sum(costed_records))`;

/** Records of which a request adds up the largest users itself. */
const ADDED_UP_AT_ONCE = 20_000;
/**
 * The users with the most credits, and the next one: added up, or of a range with many records out of a list that says
 * when it was made. The list counts every UTC day that the range touches as a whole.
 */
const BY_USER = `CASE
    WHEN $3::integer = 0 THEN jsonb_build_object('users', '[]'::jsonb, 'asOf', now())
    WHEN (SELECT coalesce(sum(records), 0) FROM sums) <= ${ADDED_UP_AT_ONCE} THEN (
      SELECT jsonb_build_object('asOf', now(), 'users', coalesce(
               jsonb_agg(jsonb_build_array(account_id, c) ORDER BY c DESC, account_id), '[]')) FROM (
        SELECT account_id, sum(credits) AS c FROM ${facts('')} f GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $3 + 1) t)
    ELSE usage_leaders(
      coalesce(($1::timestamptz AT TIME ZONE 'UTC')::date, '-infinity'),
      coalesce(($2::timestamptz AT TIME ZONE 'UTC' + interval '1 day' - interval '1 microsecond')::date, 'infinity'))
    END`;

const SYSTEM_STATS = {
  name: 'usage_system_stats',
  mayBeOld: true,
  text: `WITH ${BOUNDS}, ${SUMS_OF_ALL(FACTS_OF_ALL)}
  SELECT ${TOTALS},
    ${BY_USER} AS by_user,
    (SELECT ${MARGIN} FROM sums HAVING count(*) > 0) AS margin,
    ${byNames('operation', MARGIN, IS_CHAT)} AS margin_by_model,
    ${byNames('operation', MARGIN, `NOT ${IS_CHAT}`)} AS margin_by_operation,
    ${byDays(MARGIN)} AS margin_by_day,
    coalesce((SELECT json_agg(json_build_object('modelId', model, 'records', n) ORDER BY n DESC, model) FROM (
      SELECT ${OPERATION} AS model, sum(unpriced_records) AS n FROM sums WHERE unpriced_records > 0
       GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100) u), '[]') AS unpriced_models,
    (SELECT coalesce(sum(unpriced_records), 0) FROM sums) AS unpriced,
    (SELECT json_build_array(count(*), coalesce(sum(uncollected_credits), 0))
       FROM usage_records WHERE billing_status = 'needs_review'
        AND ($1::timestamptz IS NULL OR timestamp >= $1) AND ($2::timestamptz IS NULL OR timestamp < $2)) AS review`,
};

interface Totals {
  records: string;
  credits: string;
  collected: string;
  uncollected: string;
  by_service: Named<number>;
  by_day: Named<number>;
  by_model: Named<number>;
  by_day_and_model: Named<Record<string, number>>;
}

interface AccountTotals extends Totals {
  by_user: Named<number>;
  by_unit: Named<number>;
  known: boolean;
  review: [number, number];
  recent: UsageAnswer[];
}

interface Breakdown {
  known: boolean;
  groups: UsageGroupDto[];
  other: UsageGroupDto | null;
  since: Date | null;
}

interface SystemTotals extends Totals {
  by_user: { users: [string, number][]; asOf: string | null };
  margin: MarginDto | null;
  margin_by_model: Named<MarginDto>;
  margin_by_operation: Named<MarginDto>;
  margin_by_day: Named<MarginDto>;
  unpriced: string;
  unpriced_models: UnpricedModelDto[];
  review: [number, number];
}

/** The margin of a range without records. */
const NOTHING: MarginDto = {
  credits: 0,
  creditsUsd: '0',
  collectedCredits: 0,
  uncollectedCredits: 0,
  recordedCredits: 0,
  incomeUsd: '0',
  costedIncomeUsd: null,
  providerCostUsd: null,
  marginUsd: null,
  records: 0,
  costedRecords: 0,
};

/** Statistics, added up by the database; records are never loaded to be counted. */
@Injectable()
export class UsageStatisticsService {
  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @throws AccountNotFound for a user never seen */
  async ofAccount(accountId: string, range: TimeRange, userId?: string): Promise<UsageStatsDto> {
    const values = [range.from, range.to, accountId];
    const [row] = await this.database.report<AccountTotals>(
      userId === undefined ? USER_STATS : MEMBER_STATS,
      userId === undefined ? values : [...values, userId],
    );
    if (!row?.known) throw new AccountNotFound();
    const { by_user: byUser, by_unit: byUnit } = row;
    const added = totals(row);
    return {
      accountId,
      userId: userId ?? accountId,
      ...within({
        ...added,
        truncated: [...added.truncated, ...namesOfCut({ byUser, byUnit })],
        byUser: byUser.names,
        byUnit: byUnit.names,
        needsReview: row.review[0],
        needsReviewCredits: row.review[1],
      }),
      recentActivity: row.recent.map((record) => UsageRecordDto.from(record)),
    };
  }

  /**
   * @param tag the name of a tag; null: by API key
   * @param userId only what this member spent
   * @throws AccountNotFound
   */
  async brokenDown(
    accountId: string,
    range: TimeRange,
    tag: string | null,
    userId?: string,
  ): Promise<UsageBreakdownDto> {
    const [row] = await this.database.report<Breakdown>(BREAKDOWN, [
      range.from,
      range.to,
      accountId,
      userId ?? null,
      tag,
    ]);
    if (!row?.known) throw new AccountNotFound();
    const { groups, other, since } = row;
    return { groups, other, since: since === null ? null : isoTime(since) };
  }

  /** @param top how many users `byUser` names. */
  async ofSystem(range: TimeRange, top: number): Promise<SystemStatsDto> {
    const { creditsPerUsd } = this.config;
    const [row] = await this.database.report<SystemTotals>(SYSTEM_STATS, [
      range.from,
      range.to,
      top,
      creditsPerUsd,
    ]);
    if (row === undefined) throw new Error('system statistics returned nothing');
    const margin = row.margin ?? NOTHING;
    const added = totals(row);
    const { users, asOf } = row.by_user;
    return within({
      ...added,
      truncated: [
        ...added.truncated,
        ...namesOfCut({
          marginByModel: row.margin_by_model,
          marginByOperation: row.margin_by_operation,
          marginByDay: row.margin_by_day,
        }),
        ...(isCut(users, top, added.totalCredits) ? (['byUser'] as const) : []),
      ],
      byUser: fromPairs(users.slice(0, top)),
      byUserAsOf: asOf === null ? null : new Date(asOf).toISOString(),
      creditsUsd: margin.creditsUsd,
      incomeUsd: margin.incomeUsd,
      costedIncomeUsd: margin.costedIncomeUsd,
      providerCostUsd: margin.providerCostUsd,
      marginUsd: margin.marginUsd,
      costedRecords: margin.costedRecords,
      marginByModel: row.margin_by_model.names,
      marginByOperation: row.margin_by_operation.names,
      marginByDay: row.margin_by_day.names,
      unpricedRecords: Number(row.unpriced),
      unpricedModels: row.unpriced_models,
      needsReview: row.review[0],
      needsReviewCredits: row.review[1],
    });
  }
}

function totals(row: Totals) {
  const { by_service: byService, by_day: byDay, by_model: byModel, by_day_and_model: byDayAndModel } = row;
  const [totalCredits, collectedCredits, uncollectedCredits] = [
    row.credits,
    row.collected,
    row.uncollected,
  ].map(BigInt) as [bigint, bigint, bigint];
  return within({
    totalRecords: Number(row.records),
    totalCredits: Number(totalCredits),
    collectedCredits: Number(collectedCredits),
    uncollectedCredits: Number(uncollectedCredits),
    recordedCredits: Number(totalCredits - collectedCredits - uncollectedCredits),
    byService: byService.names,
    byDay: byDay.names,
    byModel: byModel.names,
    byDayAndModel: byDayAndModel.names,
    truncated: namesOfCut({ byService, byDay, byModel, byDayAndModel }),
  });
}

/**
 * Sums above the largest number that JSON clients read exactly become that number, and the answer names their fields: one
 * of them must not take the whole report away. Every sum is a part of totalCredits, so usually there is nothing to look for.
 */
function within<Answer extends { totalCredits: number; truncated: TruncatedField[] }>(
  answer: Answer,
): Answer {
  if (answer.totalCredits < Number.MAX_SAFE_INTEGER) return answer;
  const names = new Set(answer.truncated);
  const bounded = Object.entries(answer).map(([name, value]) => {
    const least = bound(value);
    if (JSON.stringify(least) !== JSON.stringify(value)) names.add(name as TruncatedField);
    return [name, least];
  });
  return { ...(Object.fromEntries(bounded) as Answer), truncated: [...names] };
}

function bound(value: unknown): unknown {
  if (typeof value === 'number') return Math.min(value, Number.MAX_SAFE_INTEGER);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, bound(part)]));
}

/** The maps in which names are added up as `other`. */
function namesOfCut<Name extends TruncatedField>(maps: Record<Name, Named<unknown>>): Name[] {
  return (Object.keys(maps) as Name[]).filter((name) => maps[name].isCut);
}

/** Whether users with credits are left out; of none that are named, by the credits of all. */
function isCut(users: [string, number][], top: number, totalCredits: number): boolean {
  const most = top === 0 ? totalCredits : (users[top]?.[1] ?? 0);
  return most > 0;
}

/** Keys come from users: defined, not assigned, so that `__proto__` is a key like any other. */
function fromPairs(pairs: [string, number][]): Record<string, number> {
  return Object.fromEntries(pairs);
}
