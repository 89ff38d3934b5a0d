import { Injectable } from '@nestjs/common';
import { AccountsService } from '../accounts/accounts.service.js';
import { Database } from '../common/database/database.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { csvLine } from '../common/csv.js';
import { decodeCursor, encodeCursor, toPage } from '../common/http/page.js';
import { ReportTurns } from '../common/http/reports.js';
import { isoTime } from '../common/http/time.js';
import { withoutProviderCost } from '../pricing/provider-cost.js';
import type { UsageAnswer } from './usage.operations.js';
import { type AllRecordsQueryDto, timeRange } from './dto/usage.requests.js';
import { UsageRecordDto, type UsageSearchPageDto } from './dto/usage.responses.js';
import { USAGE_CSV_HEADER, usageCsvLine } from './usage-csv.js';
import { recordJson } from './usage.sql.js';

/**
 * The most records that one statement looks through: among so many the rarest filter is answered far within the time of
 * a statement, also when none of them is in memory.
 */
export const SEARCHED_RECORDS = 50_000;
/** The most bytes of a page but for its last record: reading and writing so much JSON keeps the process for few milliseconds. */
export const PAGE_BYTES = 512 * 1024;
const CSV_BATCH = 50;

/** In the queries of lists `userId` is the account. */
export type SearchedRecords = Partial<AllRecordsQueryDto> &
  Pick<AllRecordsQueryDto, 'limit'> & {
    /** Only what this member of the account spent. */
    spentBy?: string | undefined;
  };

interface Found {
  /** The first of those wanted, as many as fit in a page. */
  records: UsageAnswer[];
  /** Whether some of those wanted did not fit. */
  isCut: boolean;
  /** Id and time of the last record looked at, where there are fewer than wanted before it, and perhaps more after it. */
  searched: [id: number, timestamp: string] | null;
}

/** Finds records. Rules in README.md beside this file. */
@Injectable()
export class UsageSearchService {
  constructor(
    private readonly database: Database,
    private readonly accounts: AccountsService,
    private readonly turns: ReportTurns,
  ) {}

  /** Newest first. A page may be short, and even empty, before the list has ended: see `searchedBackTo`. */
  async page(query: SearchedRecords): Promise<UsageSearchPageDto> {
    const { records, isCut, searched } = await this.find(query, decodeCursor(query.cursor), query.limit + 1);
    const page = toPage(records, query.limit, (record) => UsageRecordDto.from(record));
    if (isCut)
      return { ...page, nextCursor: encodeCursor(records.at(-1)?.id as number), searchedBackTo: null };
    if (searched === null) return { ...page, searchedBackTo: null };
    const [id, timestamp] = searched;
    return { items: page.items, nextCursor: encodeCursor(id), searchedBackTo: isoTime(timestamp) };
  }

  /** An account's records. @throws AccountNotFound */
  async pageOf(accountId: string, query: SearchedRecords): Promise<UsageSearchPageDto> {
    const page = await this.page({ ...query, userId: accountId });
    if (page.items.length === 0) await this.requireAccount(accountId);
    return page;
  }

  /**
   * All of them as lines of CSV, read in batches so that memory stays flat however many there are.
   *
   * @param reporter whose turns the batches take
   * @param hidesCost the columns of the provider cost are empty
   */
  async *csv(query: SearchedRecords, reporter: string, hidesCost = false): AsyncGenerator<string> {
    let heading = csvLine(USAGE_CSV_HEADER);
    let after = decodeCursor(query.cursor);
    do {
      const find = () => this.find(query, after, CSV_BATCH);
      const { records, isCut, searched } = await this.turns.report(reporter, find);
      // Also where nothing was found: this is where a reader who has hung up ends the search.
      yield heading + (hidesCost ? withoutProviderCost(records) : records).map(usageCsvLine).join('');
      heading = '';
      after = isCut || records.length === CSV_BATCH ? records.at(-1)?.id : searched?.[0];
    } while (after !== undefined);
  }

  /** @throws AccountNotFound for a user never seen */
  async requireAccount(userId: string): Promise<void> {
    if (!(await this.accounts.exists(userId))) throw new AccountNotFound();
  }

  private async find(query: SearchedRecords, after: number | undefined, take: number): Promise<Found> {
    const values: unknown[] = [];
    const parameter = (value: unknown) => `$${values.push(value)}`;
    const { order, rest } = conditions(query, after, parameter);
    const inOrder = `FROM usage_records WHERE ${order.join(' AND ')} ORDER BY timestamp DESC, id DESC`;
    // What `searched` must not look beyond is its LIMIT; the page's own stops it as soon as there are enough.
    const text = `WITH searched AS (SELECT * ${inOrder} LIMIT ${SEARCHED_RECORDS}),
            page AS MATERIALIZED (SELECT timestamp, id, ${recordJson('searched')} AS record FROM searched
                                   WHERE ${rest.join(' AND ')} ORDER BY timestamp DESC, id DESC LIMIT ${take}),
            sized AS MATERIALIZED (
              SELECT *, sum(octet_length(record::text)) OVER (ORDER BY timestamp DESC, id DESC)
                        - octet_length(record::text) AS bytes_before FROM page)
       SELECT coalesce((SELECT json_agg(record ORDER BY timestamp DESC, id DESC) FROM sized
                         WHERE bytes_before < ${PAGE_BYTES}), '[]') AS records,
              EXISTS (SELECT FROM sized WHERE bytes_before >= ${PAGE_BYTES}) AS "isCut",
              CASE WHEN (SELECT count(*) FROM page) < ${take} THEN
                (SELECT json_build_array(id, timestamp) ${inOrder} OFFSET ${SEARCHED_RECORDS - 1} LIMIT 1)
              END AS searched`;
    const [found] = await this.database.report<Found>(
      { name: 'usage_search', text, isPlannedAnew: true, mayBeOld: true },
      values,
    );
    if (found === undefined) throw new Error('a search returned nothing');
    return found;
  }
}

/**
 * The filters in two parts. Those of `order` are answered along an index that has the order of the list, or point to
 * the record itself; `rest` is looked at record by record.
 */
function conditions(
  query: SearchedRecords,
  after: number | undefined,
  parameter: (value: unknown) => string,
): { order: string[]; rest: string[] } {
  const order = ['true'];
  const rest = ['true'];
  const { from, to } = timeRange(query);
  if (from !== null) order.push(`timestamp >= ${parameter(from)}`);
  if (to !== null) order.push(`timestamp < ${parameter(to)}`);
  const { userId, billingStatus, apiKeyId, sessionId, requestId, service, operation } = query;
  const waits = billingStatus === 'needs_review';
  // What waits for a review has an index of its own, and is little beside all of a user's records.
  if (waits) order.push(`billing_status = 'needs_review'`);
  else if (billingStatus !== undefined) rest.push(`billing_status = ${parameter(billingStatus)}`);
  const ofUser = waits ? rest : order;
  const user = userId === undefined ? undefined : parameter(userId);
  if (user !== undefined) ofUser.push(`account_id = ${user}`);
  if (after !== undefined) {
    // By the record itself, whose time has microseconds that a JSON time does not show; a user's by one of theirs only.
    const ofSame = user === undefined ? '' : ` AND c.account_id = ${user}`;
    const last = `SELECT c.timestamp, c.id FROM usage_records c WHERE c.id = ${parameter(after)}${ofSame}`;
    order.push(`(timestamp, id) < (${last})`);
  }
  if (apiKeyId !== undefined) {
    const key = parameter(apiKeyId);
    ofUser.push(`account_id = (SELECT k.account_id FROM api_keys k WHERE k.id = ${key})`);
    rest.push(`api_key_id = ${key}`);
  }
  if (requestId !== undefined) {
    // Unique per user: there is one at most.
    (user === undefined ? rest : ofUser).push(`request_id = ${parameter(requestId)}`);
  }
  if (sessionId !== undefined) {
    const session = parameter(sessionId);
    rest.push(`session_id = ${session}`);
    if (user !== undefined) {
      ofUser.push(`id IN (SELECT s.usage_id FROM streaming_sessions s
                          WHERE s.account_id = ${user} AND s.session_id = ${session})`);
    }
  }
  for (const user of [query.spentBy, query.memberId]) {
    if (user !== undefined) rest.push(`user_id = ${parameter(user)}`);
  }
  if (query.unitId !== undefined) rest.push(`unit_id = ${parameter(query.unitId)}`);
  if (query.tag !== undefined) {
    const [name, ...text] = query.tag.split('=');
    rest.push(`tags ->> ${parameter(name)} = ${parameter(text.join('='))}`);
  }
  if (service !== undefined) rest.push(`service = ${parameter(service)}`);
  if (operation !== undefined) rest.push(`operation = ${parameter(operation)}`);
  return { order, rest };
}
