import { useQuery } from '@tanstack/preact-query';
import { type Account, isOrganisation, readerOf } from '../api/accounts';
import { answer, api, type Schemas } from '../api/client';
import { events } from '../api/events';
import { AccountLink, Badge, Card, Moment, Skeleton, Trouble } from '../components/ui';
import { plural } from '../format';

const TYPES = 'credits.exhausted,credits.low,credits.recovered';
const MOST_EVENTS = 100;
const MOST_PAGES = 5;
/** Accounts that are checked: those whose credits ran low last. */
const MOST_LOOKED_AT = 12;
const MOST_SHOWN = 6;
const EVERY = 30_000;

interface Troubled {
  account: Pick<Account, 'userId' | 'totalCredits'>;
  /** Available and held: what the threshold is compared with. */
  credits: number;
  since: string;
}

/** Users and organisations whose credits, held ones included, came down to their threshold or to nothing, and are not above it again. */
export function TroubledUsers() {
  // Read again with each such event, and at intervals, because credits change without one.
  const last = events.value?.find(({ type }) => TYPES.split(',').includes(type))?.id ?? 0;
  const { data, error, refetch } = useQuery({
    queryKey: ['troubled-users', last],
    queryFn: ({ signal }) => troubledUsers(signal),
    refetchInterval: EVERY,
  });
  if (error?.isMissing) return null;
  return (
    <Card title="Users needing help" hint="Out of credits or running low">
      {data !== undefined ? (
        <ul class="attention" aria-label="Users needing help">
          {data.slice(0, MOST_SHOWN).map(({ account, credits, since }) => (
            <li key={account.userId}>
              <AccountLink accountId={account.userId} />
              <span class="hint">
                <Moment at={since} />{' '}
                <Badge tone={credits === 0 ? 'bad' : 'warn'}>
                  {credits === 0
                    ? 'no credits'
                    : `${plural(credits, 'credit')} ${account.totalCredits === 0 ? 'held' : 'left'}`}
                </Badge>
              </span>
            </li>
          ))}
          {data.length === 0 && <li class="hint">None right now.</li>}
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
  // Among many other events a page may be short although the list continues.
  for (let page = 0, found = 0; page < MOST_PAGES && found < MOST_EVENTS; page++) {
    const query = { types: TYPES, limit: MOST_EVENTS, cursor };
    const { items, nextCursor } = await answer(api.GET('/api/events', { params: { query }, signal }));
    for (const event of items) if (!latest.has(event.userId)) latest.set(event.userId, event);
    found += items.length;
    if (nextCursor === null) break;
    cursor = nextCursor;
  }
  const looked = await Promise.all(
    [...latest.values()]
      .filter(({ type, data }) => type !== 'credits.recovered' || (data as { isLow: boolean }).isLow)
      .slice(0, MOST_LOOKED_AT)
      .map(async ({ userId, occurredAt }) => {
        const reader = readerOf(userId);
        const account = await (isOrganisation(userId) ? reader.balance(signal) : reader.account(signal));
        if (account === null) return [];
        return [{ account, credits: account.totalCredits + account.heldCredits, since: occurredAt }];
      }),
  );
  // The sort is stable: of two users with the same credits, the more recent comes first.
  return looked.flat().sort((one, other) => one.credits - other.credits);
}
