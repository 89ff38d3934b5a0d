import { events, wordsFor } from '../api/events';
import { isSupervisor } from '../api/session';
import { Badge, Card, Moment, type Tone, UserLink } from '../components/ui';

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
};

/** What has happened lately, as it happens; nothing where the service does not tell. */
export function Activity() {
  const latest = events.value;
  if (latest === null) return null;
  return (
    <Card title="Activity" hint="As it happens">
      <ol class="activity" aria-label="Activity">
        {latest.slice(0, SHOWN).map((event) => (
          <li key={event.id}>
            <Badge tone={TONES[event.type] ?? 'neutral'}>{event.type}</Badge>
            <span>
              {isSupervisor.value ? <UserLink userId={event.userId} /> : 'This account'} {wordsFor(event)}
            </span>
            <span class="hint">
              <Moment at={event.occurredAt} />
            </span>
          </li>
        ))}
        {latest.length === 0 && <li class="hint">Nothing has happened yet.</li>}
      </ol>
    </Card>
  );
}
