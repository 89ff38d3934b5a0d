import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { noteActivity } from '../common/database/activity.js';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import type { Author } from '../common/http/author.js';
import { decodeCursor, encodeCursor, toPage } from '../common/http/page.js';
import { isoTime } from '../common/http/time.js';
import type { DeliveriesQueryDto, ReplayWebhookDto } from './dto/webhooks.requests.js';
import type { DeliveryDto, DeliveryPageDto, DeliveryStatus, ReplayDto } from './dto/webhooks.responses.js';
import { type EventType, webhookId } from './event-types.js';
import { DeliveryNotFound, WebhookInactive, WebhookNotFound } from './events.errors.js';

const DELIVERY = `SELECT d.id, d.event_id, v.type, v.occurred_at, d.account_id, d.status, d.attempts, d.created_at, d.last_attempt_at,
                         d.last_status, d.last_error, d.delivered_at,
                         CASE WHEN d.status = 'pending' AND e.is_active THEN l.next_attempt_at END
                           AS next_attempt_at
                    FROM webhook_deliveries d JOIN events v ON v.account_id = d.account_id AND v.id = d.event_id
                    JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.deleted_at IS NULL
                    LEFT JOIN webhook_lanes l ON l.endpoint_id = d.endpoint_id AND l.account_id = d.account_id
                   WHERE d.endpoint_id = $1`;
const PAGE = {
  name: 'webhook_deliveries_page',
  text: `${DELIVERY} AND ($2::bigint IS NULL OR d.id < $2) ORDER BY d.id DESC LIMIT $3`,
};
const STATUS_PAGE = {
  name: 'webhook_deliveries_status_page',
  text: `${DELIVERY} AND ($2::bigint IS NULL OR d.id < $2) AND d.status = $4 ORDER BY d.id DESC LIMIT $3`,
};
const ONE = { name: 'webhook_delivery', text: `${DELIVERY} AND d.id = $2` };
const IS_ACTIVE = {
  name: 'webhook_is_active',
  text: 'SELECT is_active FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL',
};
const REPLAY = 'SELECT webhook_replay($1, $2, $3, $4, $5, $6) AS replay';

/** Deliveries that one call lets be made again. */
const MAXIMUM_REPLAYED = 10_000;
/** Events that one call looks at: so long the endpoint's row is locked. */
const MOST_LOOKED_AT = 50_000;

interface Replay {
  replayed: number;
  /** The last event looked at, where there may be more after it. */
  after: number | null;
}

interface DeliveryRow {
  id: string;
  event_id: string;
  type: EventType;
  occurred_at: Date;
  account_id: string;
  status: DeliveryStatus;
  attempts: number;
  created_at: Date;
  last_attempt_at: Date | null;
  next_attempt_at: Date | null;
  last_status: number | null;
  last_error: string | null;
  delivered_at: Date | null;
}

/** What was delivered, what waits, what was given up, and how to have it again. */
@Injectable()
export class WebhookDeliveriesService {
  constructor(
    private readonly database: Database,
    private readonly dataSource: DataSource,
  ) {}

  /** Newest first. @throws WebhookNotFound */
  async page(endpointId: number, { limit, cursor, status }: DeliveriesQueryDto): Promise<DeliveryPageDto> {
    const values = [endpointId, decodeCursor(cursor) ?? null, limit + 1];
    const rows = await this.database.rows<DeliveryRow>(
      status === undefined ? PAGE : STATUS_PAGE,
      status === undefined ? values : [...values, status],
    );
    if (rows.length === 0) await this.isActive(endpointId);
    return toPage(rows.map(toDelivery), limit, (delivery) => delivery);
  }

  /** @throws WebhookNotFound, WebhookInactive, DeliveryNotFound */
  async replayOne(caller: Author, endpointId: number, deliveryId: number): Promise<DeliveryDto> {
    const replayed = await this.replay(caller, endpointId, deliveryId, null, null);
    const delivery = await this.database.row<DeliveryRow>(ONE, [endpointId, deliveryId]);
    if (replayed === null || delivery === undefined) throw new DeliveryNotFound();
    return toDelivery(delivery);
  }

  /** @throws WebhookNotFound, WebhookInactive */
  async replaySince(
    caller: Author,
    endpointId: number,
    { since, cursor }: ReplayWebhookDto,
  ): Promise<ReplayDto> {
    // A moment: the database takes fewer zones than ISO 8601 has.
    const replay = await this.replay(caller, endpointId, null, new Date(since), decodeCursor(cursor) ?? null);
    const after = replay?.after ?? null;
    return { replayed: replay?.replayed ?? 0, nextCursor: after === null ? null : encodeCursor(after) };
  }

  /** Null for a delivery that is not there. @throws WebhookNotFound, WebhookInactive */
  private async replay(
    caller: Author,
    ...values: [endpoint: number, delivery: number | null, since: Date | null, after: number | null]
  ): Promise<Replay | null> {
    const limits = [MAXIMUM_REPLAYED, MOST_LOOKED_AT];
    const replay = await this.dataSource.transaction(async (manager) => {
      const [row] = await manager.query<{ replay: Replay | null }[]>(REPLAY, [...values, ...limits]);
      const done = row?.replay ?? null;
      const [endpointId, deliveryId, since] = values;
      if (done !== null)
        await noteActivity(manager, caller, {
          action: 'webhook.replayed',
          subject: endpointId,
          after: { ...(deliveryId === null ? { since } : { deliveryId }), replayed: done.replayed },
        });
      return done;
    });
    if (replay === null && !(await this.isActive(values[0]))) throw new WebhookInactive();
    return replay;
  }

  private async isActive(endpointId: number): Promise<boolean> {
    const row = await this.database.row<{ is_active: boolean }>(IS_ACTIVE, [endpointId]);
    if (row === undefined) throw new WebhookNotFound();
    return row.is_active;
  }
}

const timeOrNull = (time: Date | null) => (time === null ? null : isoTime(time));

function toDelivery(row: DeliveryRow): DeliveryDto {
  return {
    id: toSafeInteger(row.id),
    eventId: toSafeInteger(row.event_id),
    eventType: row.type,
    webhookId: webhookId(toSafeInteger(row.event_id), row.occurred_at),
    userId: row.account_id,
    status: row.status,
    attempts: row.attempts,
    createdAt: isoTime(row.created_at),
    lastAttemptAt: timeOrNull(row.last_attempt_at),
    nextAttemptAt: timeOrNull(row.next_attempt_at),
    lastStatus: row.last_status,
    lastError: row.last_error,
    deliveredAt: timeOrNull(row.delivered_at),
  };
}
