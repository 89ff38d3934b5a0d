import { Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { isoTime } from '../common/http/time.js';
import type { ForecastDto } from './dto/forecast.dto.js';
import { forecast, type OpenLot } from './forecast.js';

const DAY_MILLISECONDS = 86_400_000;
/** As many lots as a balance shows. */
const MAXIMUM_LOTS = 1000;

const startOf = (day: string) => `(${day})::timestamp AT TIME ZONE 'UTC'`;
/** The records of a day that credits were taken for. */
const CHARGES = `FROM usage_records r
   WHERE r.account_id = $1 AND r.timestamp >= ${startOf('d.day')} AND r.timestamp < ${startOf('d.day + 1')}
     AND r.billing_status <> 'recorded'`;
const milliseconds = (time: string) => `floor(extract(epoch FROM ${time}) * 1000)::bigint`;

/** $1 is the account, $2 the window in days. Days, not records, are added up: it costs the same however busy the days were. */
export const FORECAST = {
  name: 'credit_forecast',
  mayBeOld: true,
  text: `WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day), first_use AS (
    SELECT coalesce((SELECT min(r.timestamp) ${CHARGES} AND r.credits > r.uncollected_credits),
                    ${startOf('d.day')}) AS at
      FROM (SELECT min(day) AS day FROM usage_daily WHERE account_id = $1 AND charged_credits > 0) d
  )
  SELECT ${milliseconds('now()')} AS now,
    ${milliseconds(`greatest(${startOf('t.day - $2::integer')}, (SELECT at FROM first_use))`)} AS since,
    (SELECT coalesce(sum(d.charged_credits), 0) FROM usage_daily d
      WHERE d.account_id = $1 AND d.day BETWEEN t.day - $2::integer AND t.day) AS charged,
    coalesce((SELECT jsonb_agg(jsonb_build_object('id', l.id, 'credits', l.remaining_credits,
                               'expiresAt', ${milliseconds('l.expires_at')}) ORDER BY l.expires_at, l.id)
       FROM credit_allocations l
      WHERE l.account_id = $1 AND l.is_open AND l.expires_at > now()), '[]') AS lots
   FROM credit_balances b CROSS JOIN today t WHERE b.account_id = $1`,
};

interface ForecastRow {
  now: string;
  since: string;
  charged: string;
  lots: OpenLot[];
}

/** How long credits last. The rules are in README.md beside this file, the arithmetic in forecast.ts. */
@Injectable()
export class CreditsForecastService {
  constructor(private readonly database: Database) {}

  /** @throws AccountNotFound */
  async ofAccount(accountId: string, windowDays: number): Promise<ForecastDto> {
    const [row] = await this.database.report<ForecastRow>(FORECAST, [accountId, windowDays]);
    if (row === undefined) throw new AccountNotFound();
    const now = Number(row.now);
    // An hour of use says little of a day.
    const rate = {
      credits: BigInt(row.charged),
      milliseconds: Math.max(now - Number(row.since), DAY_MILLISECONDS),
    };
    const { runsOutAt, expirations, ...found } = forecast(row.lots, rate, now);
    return {
      accountId,
      userId: accountId,
      windowDays,
      ...found,
      availableCredits: row.lots.reduce((sum, { credits }) => sum + credits, 0),
      runsOutAt: runsOutAt === null ? null : isoTime(new Date(runsOutAt)),
      expirations: expirations.slice(0, MAXIMUM_LOTS).map(({ id, credits, unusedCredits, expiresAt }) => ({
        allocationId: id,
        credits,
        unusedCredits,
        expiresAt: isoTime(new Date(expiresAt)),
      })),
    };
  }
}
