import type { Delivery, Webhook } from '../api/webhooks';
import { Badge } from '../components/ui';

/** Whether the endpoint receives events, and why not. */
export function WebhookState({ webhook: { isActive, disabledReason, failingSince } }: { webhook: Webhook }) {
  if (!isActive && disabledReason === 'gone') return <Badge tone="bad">disabled, gone</Badge>;
  if (!isActive && disabledReason === 'failing') return <Badge tone="bad">disabled, failing</Badge>;
  if (!isActive) return <Badge>paused</Badge>;
  return failingSince === null ? <Badge tone="good">active</Badge> : <Badge tone="warn">failing</Badge>;
}

export function DeliveryState({ delivery }: { delivery: Delivery }) {
  if (delivery.status === 'delivered') return <Badge tone="good">delivered</Badge>;
  if (delivery.status === 'dead') return <Badge tone="bad">failed permanently</Badge>;
  return delivery.attempts > 0 ? <Badge tone="warn">retrying</Badge> : <Badge>pending</Badge>;
}

/** The result of the last attempt, in a few words. */
export function answerOf({
  lastAttemptAt,
  lastStatus,
  lastError,
}: Omit<Delivery, 'id' | 'status'> | Webhook): string {
  if (lastAttemptAt === null) return 'not attempted yet';
  if (lastStatus !== null) return String(lastStatus);
  return lastError ?? 'no response';
}

/** The service counts up to a thousand. */
export const counted = (count: number) => (count >= 1000 ? '1,000 or more' : String(count));
