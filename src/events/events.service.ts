import { Injectable } from '@nestjs/common';
import { AccountsService } from '../accounts/accounts.service.js';
import { AccountRoleRequired, ForeignUser } from '../auth/auth.errors.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { type Caller, hasRole } from '../common/http/caller.js';
import { Database, type Statement } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { decodeCursor, encodeCursor, toPage } from '../common/http/page.js';
import { isoTime } from '../common/http/time.js';
import type { EventsQueryDto, EventFilterQueryDto } from './dto/events.requests.js';
import type { EventPageDto } from './dto/events.responses.js';
import type { AccountingEvent, EventFilter, EventType } from './event-types.js';

const COLUMNS = 'id, type, account_id, occurred_at, data';
/** Rows that one statement looks at, however few of them are wanted. */
const MOST_LOOKED_AT = 10_000;
/** Beside each row of a page: how far was looked, where the page could not be filled and there is more. One row at least. */
function before(ofUser: string): string {
  const newestFirst = `FROM events WHERE ${ofUser} id < coalesce($1, ${Number.MAX_SAFE_INTEGER}) ORDER BY id DESC`;
  return `
  WITH page AS MATERIALIZED (
    SELECT * FROM (SELECT ${COLUMNS} ${newestFirst} LIMIT ${MOST_LOOKED_AT}) AS looked
     WHERE $2::text[] IS NULL OR type = ANY ($2) ORDER BY id DESC LIMIT $3::integer
  ), reach AS (
    SELECT CASE WHEN (SELECT count(*) FROM page) < $3
                THEN (SELECT id ${newestFirst} OFFSET ${MOST_LOOKED_AT - 1} LIMIT 1) END AS searched
  )
  SELECT ${COLUMNS}, searched FROM reach LEFT JOIN page ON TRUE ORDER BY id DESC`;
}
const BEFORE = { name: 'events_before', text: before('') };
const USER_BEFORE = { name: 'events_user_before', text: before('account_id = $4 AND') };
/**
 * Every stretch is one of the index's: rows that are not wanted are passed, and the answer says up to where. It has one
 * row at least.
 */
const after = (ofUser: string) => `
  WITH looked AS MATERIALIZED (
    SELECT ${COLUMNS} FROM events WHERE ${ofUser} id > $1
     ORDER BY id LIMIT CASE WHEN $2::text[] IS NULL THEN $3::integer ELSE ${MOST_LOOKED_AT} END
  ), reach AS (
    SELECT n < CASE WHEN $2::text[] IS NULL THEN $3::integer ELSE ${MOST_LOOKED_AT} END AS is_end, last,
           coalesce((SELECT max(id) FROM events), 0) AS newest,
           (SELECT given >= $1 FROM events_newest()) AS is_known
      FROM (SELECT count(*) AS n, max(id) AS last FROM looked) AS counted
  ), wanted AS (
    SELECT * FROM looked WHERE $2::text[] IS NULL OR type = ANY ($2) ORDER BY id LIMIT $3
  )
  SELECT ${COLUMNS}, is_known, is_end, CASE WHEN is_end THEN greatest(newest, $1) ELSE last END AS position
    FROM reach LEFT JOIN wanted ON TRUE ORDER BY id`;
const AFTER = { name: 'events_after', text: after('') };
const USER_AFTER = { name: 'events_user_after', text: after('account_id = $4 AND') };
const NEWEST = { name: 'events_newest', text: 'SELECT newest, given FROM events_newest()' };

/** What comes after an event. */
export interface Stretch {
  /** Those that are wanted, oldest first. */
  readonly events: AccountingEvent[];
  /** No event up to here that is wanted is missing; at least the id that was asked for. */
  readonly position: number;
  /** Whether nothing is left up to the newest event. */
  readonly isEnd: boolean;
  /** Whether an event has had the id that was asked for. None has, when the database has lost it in a failover. */
  readonly isKnown: boolean;
}

interface EventRow {
  id: string;
  type: EventType;
  account_id: string;
  occurred_at: Date;
  data: Record<string, unknown>;
}

/** A row of a page; of one without events `id` and what belongs to it are null. */
interface PageRow extends EventRow {
  searched: string | null;
}

/** A row of a stretch; of one without events `id` and what belongs to it are null. */
interface StretchRow extends EventRow {
  position: string;
  is_end: boolean;
  is_known: boolean;
}

/** Events that were published. Rules in README.md beside this file. */
@Injectable()
export class EventsService {
  constructor(
    private readonly database: Database,
    private readonly accounts: AccountsService,
  ) {}

  /**
   * What a caller may see of what was asked for: of an organisation, owners, admins and billing people its events.
   *
   * @throws ForeignUser, AccountNotFound, AccountRoleRequired
   */
  async filterOf(caller: Caller, { userId, accountId, types }: EventFilterQueryDto): Promise<EventFilter> {
    if (hasRole(caller.role, 'supervisor')) return { accountId: accountId ?? userId, types };
    if (userId !== undefined && userId !== caller.userId) throw new ForeignUser();
    if (accountId !== undefined && accountId !== caller.userId) {
      const role = await this.accounts.memberRole(accountId, caller.userId);
      if (role === undefined) throw new AccountNotFound();
      if (role === 'member') throw new AccountRoleRequired();
    }
    return { accountId: accountId ?? caller.userId, types };
  }

  /** Newest first. A page may be short, and even empty, before the list has ended. */
  async page(caller: Caller, query: EventsQueryDto): Promise<EventPageDto> {
    const { accountId, types } = await this.filterOf(caller, query);
    const values = [decodeCursor(query.cursor) ?? null, types ?? null, query.limit + 1];
    const rows = await this.report<PageRow>(BEFORE, USER_BEFORE, values, accountId);
    const page = toPage(eventsOf(rows), query.limit, (event) => event);
    const searched = rows[0]?.searched ?? null;
    return searched === null ? page : { ...page, nextCursor: encodeCursor(toSafeInteger(searched)) };
  }

  /** The next events after one, `limit` at most, as soon as they can be read. */
  next(id: number, limit: number): Promise<Stretch> {
    return this.stretch(limit, this.database.rows<StretchRow>(AFTER, [id, null, limit]));
  }

  /** The same for a stream that catches up: of what it wants, and as a report, which takes nothing from movements. */
  past(id: number, { accountId, types }: EventFilter, limit: number): Promise<Stretch> {
    const values = [id, types ?? null, limit];
    return this.stretch(limit, this.report<StretchRow>(AFTER, USER_AFTER, values, accountId));
  }

  /** `newest`: no event will become visible below it. `given`: no event has had an id above it. */
  async newest(): Promise<{ newest: number; given: number }> {
    const row = (await this.database.row<{ newest: string; given: string }>(NEWEST)) as {
      newest: string;
      given: string;
    };
    return { newest: toSafeInteger(row.newest), given: toSafeInteger(row.given) };
  }

  private async stretch(limit: number, reading: Promise<StretchRow[]>): Promise<Stretch> {
    const rows = await reading;
    const [{ position, is_end: isEnd, is_known: isKnown }] = rows as [StretchRow];
    const events = eventsOf(rows);
    const last = events.at(-1);
    if (events.length === limit && last !== undefined) {
      return { events, position: last.id, isEnd: false, isKnown };
    }
    return { events, position: toSafeInteger(position), isEnd, isKnown };
  }

  private report<Row extends object>(
    ofAll: Statement,
    ofAccount: Statement,
    values: unknown[],
    accountId: string | undefined,
  ): Promise<Row[]> {
    return accountId === undefined
      ? this.database.report<Row>(ofAll, values)
      : this.database.report<Row>(ofAccount, [...values, accountId]);
  }
}

const eventsOf = (rows: EventRow[]) => rows.filter(({ id }) => id !== null).map(toEvent);

/** Of an organisation's event, the user that it is about; else the account. */
export const userOf = (row: { account_id: string; data: Record<string, unknown> }): string =>
  typeof row.data.userId === 'string' ? row.data.userId : row.account_id;

function toEvent(row: EventRow): AccountingEvent {
  return {
    id: toSafeInteger(row.id),
    type: row.type,
    accountId: row.account_id,
    userId: userOf(row),
    occurredAt: isoTime(row.occurred_at),
    data: row.data,
  };
}
