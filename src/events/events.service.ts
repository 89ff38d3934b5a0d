import { Injectable } from '@nestjs/common';
import { ForeignUser } from '../auth/auth.errors.js';
import { type Caller, hasRole } from '../auth/caller.js';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { decodeCursor, toPage } from '../common/http/page.js';
import { isoTime } from '../common/http/time.js';
import type { EventsQueryDto, EventFilterQueryDto } from './dto/events.requests.js';
import type { EventPageDto } from './dto/events.responses.js';
import type { AccountingEvent, EventFilter, EventType } from './event-types.js';

const COLUMNS = 'id, type, user_id, occurred_at, data';
const PAGE = {
  name: 'events_page',
  text: `SELECT ${COLUMNS} FROM events
          WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text[] IS NULL OR type = ANY ($2))
          ORDER BY id DESC LIMIT $3`,
};
const USER_PAGE = {
  name: 'events_user_page',
  text: `SELECT ${COLUMNS} FROM events
          WHERE user_id = $4 AND ($1::bigint IS NULL OR id < $1) AND ($2::text[] IS NULL OR type = ANY ($2))
          ORDER BY id DESC LIMIT $3`,
};
/** Rows that one statement looks at, however few of them are wanted. */
const MOST_LOOKED_AT = 10_000;
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
           coalesce((SELECT max(id) FROM events), 0) AS newest
      FROM (SELECT count(*) AS n, max(id) AS last FROM looked) AS counted
  ), wanted AS (
    SELECT * FROM looked WHERE $2::text[] IS NULL OR type = ANY ($2) ORDER BY id LIMIT $3
  )
  SELECT ${COLUMNS}, is_end, CASE WHEN is_end THEN greatest(newest, $1) ELSE last END AS position
    FROM reach LEFT JOIN wanted ON TRUE ORDER BY id`;
const AFTER = { name: 'events_after', text: after('') };
const USER_AFTER = { name: 'events_user_after', text: after('user_id = $4 AND') };
const NEWEST = { name: 'events_newest', text: 'SELECT newest, given FROM events_newest()' };

/** What comes after an event. */
export interface Stretch {
  /** Those that are wanted, oldest first. */
  readonly events: AccountingEvent[];
  /** No event up to here that is wanted is missing; at least the id that was asked for. */
  readonly position: number;
  /** Whether nothing is left up to the newest event. */
  readonly isEnd: boolean;
}

interface EventRow {
  id: string;
  type: EventType;
  user_id: string;
  occurred_at: Date;
  data: Record<string, unknown>;
}

/** A row of a stretch; of one without events `id` and what belongs to it are null. */
interface StretchRow extends EventRow {
  position: string;
  is_end: boolean;
}

/** Events that were published. Rules in README.md beside this file. */
@Injectable()
export class EventsService {
  constructor(private readonly database: Database) {}

  /** What a caller may see of what was asked for. @throws ForeignUser for a user who asks for another's */
  filterOf(caller: Caller, { userId, types }: EventFilterQueryDto): EventFilter {
    const seesAll = hasRole(caller.role, 'supervisor');
    if (!seesAll && userId !== undefined && userId !== caller.userId) throw new ForeignUser();
    return { userId: seesAll ? userId : caller.userId, types };
  }

  /** Newest first. */
  async page(caller: Caller, query: EventsQueryDto): Promise<EventPageDto> {
    const { userId, types } = this.filterOf(caller, query);
    const before = decodeCursor(query.cursor) ?? null;
    const events = await this.read(userId === undefined ? PAGE : USER_PAGE, userId, [
      before,
      types ?? null,
      query.limit + 1,
    ]);
    return toPage(events, query.limit, (event) => event);
  }

  /** The next events after one, `limit` at most, as soon as they can be read. */
  next(id: number, limit: number): Promise<Stretch> {
    return this.stretch(limit, this.database.rows<StretchRow>(AFTER, [id, null, limit]));
  }

  /** The same for a stream that catches up: of what it wants, and as a report, which takes nothing from movements. */
  past(id: number, { userId, types }: EventFilter, limit: number): Promise<Stretch> {
    const values = [id, types ?? null, limit];
    const rows =
      userId === undefined
        ? this.database.report<StretchRow>(AFTER, values)
        : this.database.report<StretchRow>(USER_AFTER, [...values, userId]);
    return this.stretch(limit, rows);
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
    const [{ position, is_end: isEnd }] = rows as [StretchRow];
    const events = rows.filter(({ id }) => id !== null).map(toEvent);
    const last = events.at(-1);
    if (events.length === limit && last !== undefined) return { events, position: last.id, isEnd: false };
    return { events, position: toSafeInteger(position), isEnd };
  }

  private async read(
    statement: typeof PAGE,
    userId: string | undefined,
    values: unknown[],
  ): Promise<AccountingEvent[]> {
    const all = userId === undefined ? values : [...values, userId];
    return (await this.database.rows<EventRow>(statement, all)).map(toEvent);
  }
}

function toEvent(row: EventRow): AccountingEvent {
  return {
    id: toSafeInteger(row.id),
    type: row.type,
    userId: row.user_id,
    occurredAt: isoTime(row.occurred_at),
    data: row.data,
  };
}
