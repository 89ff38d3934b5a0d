import { Injectable } from '@nestjs/common';
import { AccountsService } from '../accounts/accounts.service.js';
import { AccountRoleRequired } from '../auth/auth.errors.js';
import { csvLine } from '../common/csv.js';
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
  /** How many entries the page would have if none was too large. */
  found: number;
}

/** What people and programs changed. Rules in README.md beside this file. */
@Injectable()
export class ActivityService {
  constructor(
    private readonly database: Database,
    private readonly accounts: AccountsService,
    private readonly turns: ReportTurns,
  ) {}

  /** Newest first. @param query as `visible` returns it */
  async page(caller: Caller, query: ActivityQueryDto): Promise<ActivityPageDto> {
    const after = query.cursor === undefined ? undefined : decodeActivityCursor(query.cursor);
    const rows = await this.find(query, after, query.limit + 1);
    const page = rows.slice(0, query.limit);
    const last = page.at(-1);
    return {
      items: page.map((row) => describe(row, caller)),
      nextCursor: last && last.found > page.length ? encodeActivityCursor(last) : null,
    };
  }

  /** All of them as lines of CSV, in batches. @param reporter whose turns the batches take */
  async *csv(caller: Caller, query: ActivityQueryDto, reporter: string): AsyncGenerator<string> {
    let heading = csvLine(CSV_HEADER);
    let position = query.cursor === undefined ? undefined : decodeActivityCursor(query.cursor);
    for (;;) {
      const rows = await this.turns.report(reporter, () => this.find(query, position, CSV_BATCH));
      yield heading + rows.map((row) => lineOf(describe(row, caller))).join('');
      heading = '';
      const after = rows.at(-1);
      if (after === undefined || (after.found === rows.length && rows.length < CSV_BATCH)) return;
      position = after;
    }
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

  private find(
    { accountId, actor, action, subject, from, to }: ActivityQueryDto,
    after: ActivityPosition | undefined,
    limit: number,
  ): Promise<ActivityRow[]> {
    const values: unknown[] = [];
    const conditions: string[] = [];
    const add = (condition: (parameter: string) => string, value: unknown) => {
      if (value !== undefined) conditions.push(condition(`$${values.push(value)}`));
    };
    add((value) => `account_id = ${value}`, accountId);
    add((value) => `actor = ${value}`, actor);
    add((value) => `action = ${value}`, action);
    add((value) => `subject = ${value}`, subject);
    add((value) => `at >= ${value}`, from === undefined ? undefined : new Date(from));
    add((value) => `at < ${value}`, to === undefined ? undefined : new Date(to));
    if (after !== undefined) {
      const time = `'epoch'::timestamptz + $${values.push(after.microseconds)}::bigint * interval '1 microsecond'`;
      conditions.push(`(at, id) < (${time}, $${values.push(after.id)}::bigint)`);
    }
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    return this.database.report<ActivityRow>(
      {
        name: 'activity',
        isPlannedAnew: true,
        text: `SELECT * FROM (
                 SELECT *, sum(bytes) OVER (ORDER BY at DESC, id DESC) - bytes AS bytes_before, count(*) OVER ()::integer AS found
                   FROM (SELECT *, trunc(extract(epoch FROM at) * 1000000)::bigint AS microseconds,
                                octet_length(concat(before, after)) AS bytes
                           FROM activity ${where} ORDER BY at DESC, id DESC LIMIT ${limit}) AS newest) AS sized
                WHERE bytes_before < ${PAGE_BYTES} ORDER BY at DESC, id DESC`,
      },
      values,
    );
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

function lineOf(entry: ActivityDto): string {
  return csvLine(
    CSV_HEADER.map((name) => {
      const value = entry[name];
      return value !== null && typeof value === 'object' ? JSON.stringify(value) : value;
    }),
  );
}
