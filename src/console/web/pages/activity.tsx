import type { ComponentChildren } from 'preact';
import { type AccountEvent, events, limitOf, wordsFor } from '../api/events';
import { capital, limitInWords, type Names } from '../api/limits';
import { isSupervisor } from '../api/session';
import { AccountLink, Badge, Card, Moment, type Tone } from '../components/ui';

const SHOWN = 8;
const TONES: Record<string, Tone> = {
  'credits.exhausted': 'bad',
  'usage.needs_review': 'bad',
  'credits.low': 'warn',
  'credits.recovered': 'good',
  'credits.expiring': 'warn',
  'credits.expired': 'warn',
  'session.timed_out': 'warn',
  'usage.settled': 'good',
  'budget.threshold': 'warn',
  'budget.exhausted': 'bad',
  'budget.recovered': 'good',
  'limit.reached': 'warn',
};

const NAMES: Record<string, string> = {
  'credits.low': 'low',
  'credits.exhausted': 'out of credits',
  'credits.recovered': 'recovered',
  'credits.expiring': 'expiring',
  'credits.expired': 'expired',
  'session.timed_out': 'timed out',
  'usage.needs_review': 'to review',
  'usage.settled': 'settled',
  'api_key.created': 'new key',
  'api_key.revoked': 'key revoked',
  'api_key.expiring': 'key expiring',
  'api_key.expired': 'key expired',
  'budget.threshold': 'budget',
  'budget.exhausted': 'budget used up',
  'budget.recovered': 'budget recovered',
  'limit.reached': 'limit reached',
  'organisation.created': 'new organisation',
  'organisation.renamed': 'renamed',
  'organisation.archived': 'archived',
  'organisation.member_added': 'new member',
  'organisation.member_changed': 'member changed',
  'organisation.member_removed': 'member removed',
};

/** Recent events, updated live; empty where the service reports none. */
export function Activity() {
  const latest = events.value;
  if (latest === null) return null;
  return (
    <Card title="Events" hint="Live">
      <ol class="activity" aria-label="Events">
        {latest.slice(0, SHOWN).map((event) => (
          <EventItem
            key={event.id}
            event={event}
            who={isSupervisor.value ? <AccountLink accountId={event.userId} /> : 'This account'}
          />
        ))}
        {latest.length === 0 && <li class="hint">No events yet.</li>}
      </ol>
    </Card>
  );
}

interface EventItemProps {
  event: AccountEvent;
  /** Whom it is about; null where the list's place says it. */
  who: ComponentChildren;
  names?: Names;
}

/** One event, and the limit that it is about. */
export function EventItem({ event, who, names }: EventItemProps) {
  const limit = limitOf(event);
  return (
    <li>
      <span title={event.type}>
        <Badge tone={TONES[event.type] ?? 'neutral'}>{NAMES[event.type] ?? event.type}</Badge>
      </span>
      <span>
        {who !== null && (
          <>
            {who} {wordsFor(event)}
            {limit && '. '}
          </>
        )}
        {limit && capital(limitInWords(limit, names))}
      </span>
      <span class="hint">
        <Moment at={event.occurredAt} />
      </span>
    </li>
  );
}
