import type { EntityManager } from 'typeorm';
import type { Author, Origin } from '../http/author.js';

/** What the activity log has entries of. */
export const ACTIVITY_ACTIONS = [
  'alert_rule.changed',
  'alert_rule.created',
  'alert_rule.deleted',
  'api_key.changed',
  'api_key.created',
  'api_key.revoked',
  'api_key.rotated',
  'balance.repaired',
  'budget.changed',
  'budget.created',
  'budget.deleted',
  'budget.raised',
  'credits.allocated',
  'credits.deducted',
  'credits.revoked',
  'gateway_account.deleted',
  'gateway_account.set',
  'member.added',
  'member.changed',
  'member.removed',
  'organisation.archived',
  'organisation.created',
  'organisation.renamed',
  'price.created',
  'price.ended',
  'price.removed',
  'price_alias.created',
  'price_alias.deleted',
  'prices.imported',
  'quarantine.retried',
  'threshold.set',
  'unit.changed',
  'unit.created',
  'unit.deleted',
  'usage.reviewed',
  'webhook.changed',
  'webhook.created',
  'webhook.deleted',
  'webhook.replayed',
  'webhook.secret_rotated',
] as const;
export type ActivityAction = (typeof ACTIVITY_ACTIONS)[number];

/** What an operation's request has beside the change itself, for the activity log. */
export interface Originated {
  readonly origin: Origin;
}

export interface ActivityEntry {
  /** Undefined: the change belongs to no account. */
  readonly accountId?: string;
  readonly action: ActivityAction;
  /** What was changed: its id or name. */
  readonly subject: string | number;
  /** Without secrets. Of a change only members that differ are kept. */
  readonly before?: object;
  readonly after?: object;
}

/**
 * Notes a change that TypeORM makes, in its transaction. Operations note theirs themselves (`write_activity`). Nothing is
 * noted when before and after are the same.
 */
export async function noteActivity(
  manager: EntityManager,
  { origin }: Author,
  { subject, ...entry }: ActivityEntry,
): Promise<void> {
  await manager.query('SELECT activity_write($1)', [
    JSON.stringify({ ...entry, subject: String(subject), origin }),
  ]);
}
