import type { Delivery, Webhook } from '../api/webhooks';
import { Badge, Moment } from '../components/ui';

/** Whether it gets anything, and why not. */
export function WebhookState({ webhook }: { webhook: Webhook }) {
  if (webhook.disabledReason === 'gone') return <Badge tone="bad">off: it said it is gone</Badge>;
  if (webhook.disabledReason === 'failing') return <Badge tone="bad">off: it kept failing</Badge>;
  if (!webhook.isActive) return <Badge>paused</Badge>;
  if (webhook.failingSince !== null)
    return (
      <Badge tone="warn">
        failing since <Moment at={webhook.failingSince} />
      </Badge>
    );
  return <Badge tone="good">active</Badge>;
}

export function DeliveryState({ delivery }: { delivery: Delivery }) {
  if (delivery.status === 'delivered') return <Badge tone="good">delivered</Badge>;
  if (delivery.status === 'dead') return <Badge tone="bad">given up</Badge>;
  return <Badge tone={delivery.attempts > 0 ? 'warn' : 'neutral'}>waits</Badge>;
}

/** What came of the last attempt, in a few words. */
export function answerOf({
  lastAttemptAt,
  lastStatus,
  lastError,
}: Omit<Delivery, 'id' | 'status'> | Webhook): string {
  if (lastAttemptAt === null) return 'not tried yet';
  if (lastStatus !== null) return String(lastStatus);
  return lastError ?? 'no answer';
}

/** A thousand is where counting ends. */
export const counted = (count: number) => (count >= 1000 ? '1,000 or more' : String(count));
