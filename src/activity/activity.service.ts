import { Injectable } from '@nestjs/common';
import { AccountsService } from '../accounts/accounts.service.js';
import { AccountRoleRequired } from '../auth/auth.errors.js';
import { csvLine, csvRow } from '../common/csv.js';
import type { ActivityAction } from '../common/database/activity.js';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { type Caller, hasRole } from '../common/http/caller.js';
import { ReportTurns } from '../common/http/reports.js';
import { isoTime } from '../common/http/time.js';
import { type ActivityPosition, decodeActivityCursor, encodeActivityCursor } from './activity-cursor.js';
import type { ActivityDto, ActivityPageDto, ActivityQueryDto, ActorRole } from './dto/activity.dto.js';

const CSV_HEADER: (keyof ActivityDto)[] = [
  ...(['id', 'at', 'accountId', 'action', 'subject', 'actor', 'actorRole'] as const),
  ...(['address', 'requestId', 'before', 'after'] as const),
];
const CSV_BATCH = 50;
/** The most entries that one statement looks through for those that a filter wants. */
const SEARCHED_ENTRIES = 50_000;
/** The most bytes of changes in a page but for its last entry. */
const PAGE_BYTES = 512 * 1024;

interface ActivityRow {
  id: string;
  microseconds: string;
  at: Date;
  account_id: string;
  action: ActivityAction;
  subject: string;
  actor: string;
  actor_role: ActorRole;
  address: string | null;
  request_id: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
}

interface Found {
  /** The first of those wanted, as many as fit in a page. */
  rows: ActivityRow[];
  /** From where there may be more; undefined at the end. */
  next: ActivityPosition | undefined;
}

/** What people and programs changed. Rules in README.md beside this file. */
@Injectable()
export class ActivityService {
  constructor(
    private readonly database: Database,
    private readonly accounts: AccountsService,
    private readonly turns: ReportTurns,
  ) {}

  /** Newest first. A page may be short, and even empty, before the list has ended. @param query as `visible` returns it */
  async page(caller: Caller, query: ActivityQueryDto): Promise<ActivityPageDto> {
    const after = query.cursor === undefined ? undefined : decodeActivityCursor(query.cursor);
    const { rows, next } = await this.find(query, after, query.limit);
    return {
      items: rows.map((row) => describe(row, caller)),
      nextCursor: next === undefined ? null : encodeActivityCursor(next),
    };
  }

  /** All of them as lines of CSV, in batches. @param reporter whose turns the batches take */
  async *csv(caller: Caller, query: ActivityQueryDto, reporter: string): AsyncGenerator<string> {
    let heading = csvLine(CSV_HEADER);
    let position = query.cursor === undefined ? undefined : decodeActivityCursor(query.cursor);
    do {
      const find = () => this.find(query, position, CSV_BATCH);
      const { rows, next } = await this.turns.report(reporter, find);
      // Also where nothing was found: this is where a reader who has hung up ends the search.
      yield heading + rows.map((row) => csvRow(describe(row, caller), CSV_HEADER)).join('');
      heading = '';
      position = next;
    } while (position !== undefined);
  }

  /**
   * The query for what the caller may see: admins everything, owners and admins of an organisation that of it, a user that
   * of their own account.
   *
   * @throws AccountNotFound, AccountRoleRequired
   */
  async visible(caller: Caller, query: ActivityQueryDto): Promise<ActivityQueryDto> {
    if (hasRole(caller.role, 'admin')) return query;
    const { accountId = caller.userId } = query;
    if (accountId !== caller.userId) {
      const role = await this.accounts.memberRole(accountId, caller.userId);
      if (role === undefined) throw new AccountNotFound();
      if (role !== 'owner' && role !== 'admin') throw new AccountRoleRequired();
    }
    return { ...query, accountId };
  }

  private async find(
    { accountId, actor, action, subject, from, to }: ActivityQueryDto,
    after: ActivityPosition | undefined,
    limit: number,
  ): Promise<Found> {
    const values: unknown[] = [];
    /** Along an index that has the order of the list; `rest` is looked at entry by entry. */
    const order = ['true'];
    const rest = ['true'];
    const add = (conditions: string[], column: string, value: unknown) => {
      if (value !== undefined) conditions.push(`${column} $${values.push(value)}`);
    };
    add(order, 'account_id =', accountId);
    add(accountId === undefined ? order : rest, 'actor =', actor);
    add(rest, 'action =', action);
    add(rest, 'subject =', subject);
    add(order, 'at >=', from === undefined ? undefined : new Date(from));
    add(order, 'at <', to === undefined ? undefined : new Date(to));
    if (after !== undefined) {
      const time = `'epoch'::timestamptz + $${values.push(after.microseconds)}::bigint * interval '1 microsecond'`;
      order.push(`(at, id) < (${time}, $${values.push(after.id)}::bigint)`);
    }
    const inOrder = `FROM activity WHERE ${order.join(' AND ')} ORDER BY at DESC, id DESC`;
    const microseconds = 'trunc(extract(epoch FROM at) * 1000000)::bigint';
    // One more than wanted says that there are more. The last one looked at counts where there are fewer.
    const text = `
      WITH searched AS (SELECT * ${inOrder} LIMIT ${SEARCHED_ENTRIES}),
      page AS MATERIALIZED (
        SELECT *, ${microseconds} AS microseconds, octet_length(concat(before, after)) AS bytes FROM searched
         WHERE ${rest.join(' AND ')} ORDER BY at DESC, id DESC LIMIT ${limit + 1}),
      sized AS (
        SELECT *, sum(bytes) OVER newest_first - bytes AS bytes_before, row_number() OVER newest_first AS place
          FROM page WINDOW newest_first AS (ORDER BY at DESC, id DESC))
      SELECT sized.*, (SELECT count(*) FROM page)::integer AS found, reach.*
        FROM (SELECT CASE WHEN (SELECT count(*) FROM page) <= ${limit} THEN
                (SELECT json_build_object('id', id::text, 'microseconds', ${microseconds}::text)
                 ${inOrder} OFFSET ${SEARCHED_ENTRIES - 1} LIMIT 1) END AS searched) AS reach
        LEFT JOIN sized ON bytes_before < ${PAGE_BYTES} AND place <= ${limit}
       ORDER BY place`;
    type Line = ActivityRow & { id: string | null; found: number; searched: ActivityPosition | null };
    const lines = await this.database.report<Line>({ name: 'activity', isPlannedAnew: true, text }, values);
    const rows = lines.filter(({ id }) => id !== null);
    const isCut = (lines[0]?.found ?? 0) > rows.length;
    return { rows, next: isCut ? rows.at(-1) : (lines[0]?.searched ?? undefined) };
  }
}

/** Only the platform sees where its own people and programs work. */
function describe(row: ActivityRow, caller: Caller): ActivityDto {
  const seesOrigin = hasRole(caller.role, 'admin') || row.actor_role === 'user' || row.actor === caller.actor;
  return {
    id: toSafeInteger(row.id),
    at: isoTime(row.at),
    accountId: row.account_id === '' ? null : row.account_id,
    action: row.action,
    subject: row.subject,
    actor: row.actor,
    actorRole: row.actor_role,
    address: seesOrigin ? row.address : null,
    requestId: seesOrigin ? row.request_id : null,
    before: row.before,
    after: row.after,
  };
}
