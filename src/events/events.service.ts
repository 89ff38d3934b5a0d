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
const AFTER = {
  name: 'events_after',
  text: `SELECT ${COLUMNS} FROM events
          WHERE id > $1 AND ($2::text[] IS NULL OR type = ANY ($2)) ORDER BY id LIMIT $3`,
};
const USER_AFTER = {
  name: 'events_user_after',
  text: `SELECT ${COLUMNS} FROM events
          WHERE user_id = $4 AND id > $1 AND ($2::text[] IS NULL OR type = ANY ($2)) ORDER BY id LIMIT $3`,
};
const LAST = { name: 'events_last', text: 'SELECT coalesce(max(id), 0) AS id FROM events' };

interface EventRow {
  id: string;
  type: EventType;
  user_id: string;
  occurred_at: Date;
  data: Record<string, unknown>;
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

  /** Oldest first. */
  after(id: number, { userId, types }: EventFilter, limit: number): Promise<AccountingEvent[]> {
    return this.read(userId === undefined ? AFTER : USER_AFTER, userId, [id, types ?? null, limit]);
  }

  /** The last id that is given; nothing will come below it. */
  async lastId(): Promise<number> {
    return toSafeInteger((await this.database.row<{ id: string }>(LAST))?.id ?? 0);
  }

  private async read(
    statement: typeof PAGE,
    userId: string | undefined,
    values: unknown[],
  ): Promise<AccountingEvent[]> {
    const all = userId === undefined ? values : [...values, userId];
    const rows = await this.database.rows<EventRow>(statement, all);
    return rows.map((row) => ({
      id: toSafeInteger(row.id),
      type: row.type,
      userId: row.user_id,
      occurredAt: isoTime(row.occurred_at),
      data: row.data,
    }));
  }
}
