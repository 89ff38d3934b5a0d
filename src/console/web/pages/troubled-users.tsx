import { useQuery } from '@tanstack/preact-query';
import { type Account, readerOf } from '../api/accounts';
import { answer, api, type Schemas } from '../api/client';
import { events } from '../api/events';
import { Badge, Card, Moment, Skeleton, Trouble, UserLink } from '../components/ui';
import { plural } from '../format';

const TYPES = 'credits.exhausted,credits.low';
const MOST_EVENTS = 100;
const MOST_PAGES = 5;
/** Accounts that are looked at: those whose credits ran low last. */
const MOST_LOOKED_AT = 12;
const MOST_SHOWN = 6;
const EVERY = 30_000;

interface Troubled {
  account: Account;
  since: string;
}

/** Who ran out of credits lately and has not been given any, or is about to: nobody else is worth a call. */
export function TroubledUsers() {
  // Asked anew when it happens to somebody else, and now and then: credits are given without an event.
  const last = events.value?.find(({ type }) => TYPES.split(',').includes(type))?.id ?? 0;
  const { data, error, refetch } = useQuery({
    queryKey: ['troubled-users', last],
    queryFn: ({ signal }) => troubledUsers(signal),
    refetchInterval: EVERY,
  });
  if (error?.isMissing) return null;
  return (
    <Card title="Users in trouble" hint="Out of credits, or nearly">
      {data !== undefined ? (
        <ul class="attention" aria-label="Users in trouble">
          {data.slice(0, MOST_SHOWN).map(({ account, since }) => (
            <li key={account.userId}>
              <UserLink userId={account.userId} />
              <span class="hint">
                <Moment at={since} />{' '}
                <Badge tone={account.totalCredits === 0 ? 'bad' : 'warn'}>
                  {account.totalCredits === 0
                    ? 'no credits'
                    : `${plural(account.totalCredits, 'credit')} left`}
                </Badge>
              </span>
            </li>
          ))}
          {data.length === 0 && <li class="hint">Nobody is.</li>}
        </ul>
      ) : error ? (
        <Trouble problem={error} retry={() => void refetch()} />
      ) : (
        <Skeleton rows={3} />
      )}
    </Card>
  );
}

async function troubledUsers(signal: AbortSignal): Promise<Troubled[]> {
  const latest = new Map<string, Schemas['EventDto']>();
  let cursor: string | undefined;
  // Among many other events a page may be short, and the list goes on.
  for (let page = 0, found = 0; page < MOST_PAGES && found < MOST_EVENTS; page++) {
    const query = { types: TYPES, limit: MOST_EVENTS, cursor };
    const { items, nextCursor } = await answer(api.GET('/api/events', { params: { query }, signal }));
    for (const event of items) if (!latest.has(event.userId)) latest.set(event.userId, event);
    found += items.length;
    if (nextCursor === null) break;
    cursor = nextCursor;
  }
  const looked = await Promise.all(
    [...latest.values()].slice(0, MOST_LOOKED_AT).map(async ({ userId, occurredAt, data }) => {
      const account = await readerOf(userId).account(signal);
      const threshold = Number((data as { threshold?: number }).threshold ?? 0);
      return account !== null && account.totalCredits <= threshold ? [{ account, since: occurredAt }] : [];
    }),
  );
  // The sort is stable: of those with as little, the latest comes first.
  return looked.flat().sort((one, other) => one.account.totalCredits - other.account.totalCredits);
}
