export const EVENT_TYPES = [
  'credits.low',
  'credits.exhausted',
  'credits.recovered',
  'credits.expiring',
  'credits.expired',
  'session.timed_out',
  'usage.needs_review',
  'usage.settled',
  'api_key.created',
  'api_key.revoked',
  'api_key.expiring',
  'api_key.expired',
  'budget.threshold',
  'budget.exhausted',
  'budget.recovered',
  'limit.reached',
  'organisation.created',
  'organisation.renamed',
  'organisation.archived',
  'organisation.member_added',
  'organisation.member_changed',
  'organisation.member_removed',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** What a test call delivers; it is no event of the outbox. */
export const TEST_TYPE = 'webhook.test';

/** An event as it is published: in pages, in the stream and in a webhook's body. */
export interface AccountingEvent {
  /** Ids grow in the order in which events become visible. */
  readonly id: number;
  readonly type: EventType;
  readonly accountId: string;
  readonly userId: string;
  readonly occurredAt: string;
  readonly data: Record<string, unknown>;
}

/**
 * The `webhook-id` of an event's messages. Its time is a part of it: after a failover that has lost events another event may
 * have the id.
 */
export function webhookId(id: number, occurredAt: string | Date): string {
  return `evt_${id}_${new Date(occurredAt).getTime().toString(36)}`;
}

/** Which events a reader sees. */
export interface EventFilter {
  /** Undefined: every account's. */
  readonly accountId: string | undefined;
  /** Undefined: all. */
  readonly types: readonly EventType[] | undefined;
}

export function isWanted(event: AccountingEvent, { accountId, types }: EventFilter): boolean {
  return (
    (accountId === undefined || event.accountId === accountId) &&
    (types === undefined || types.includes(event.type))
  );
}
