import { useQuery } from '@tanstack/preact-query';
import { answer, api } from '../api/client';
import { events } from '../api/events';
import type { Names } from '../api/limits';
import { Card, Skeleton, Trouble } from '../components/ui';
import { EventItem } from './activity';

const TYPES = ['limit.reached', 'budget.exhausted'];
const SHOWN = 10;

/** The last calls that a limit refused first in its period, and the budgets that were used up. */
export function Refusals({ accountId, names }: { accountId: string; names: Names }) {
  const last =
    events.value?.find((event) => TYPES.includes(event.type) && event.accountId === accountId)?.id ?? 0;
  const { data, error, refetch } = useQuery({
    queryKey: ['refusals', accountId, last],
    queryFn: async ({ signal }) => {
      const query = { types: TYPES.join(','), limit: SHOWN, accountId };
      return (await answer(api.GET('/api/events', { params: { query }, signal }))).items;
    },
  });
  if (error?.isMissing) return null;
  return (
    <Card title="Refused calls and used-up budgets" hint="The first refusal by a limit in each period">
      {data ? (
        <ol class="activity" aria-label="Refused calls and used-up budgets">
          {data.map((event) => (
            <EventItem key={event.id} event={event} who={null} names={names} />
          ))}
          {data.length === 0 && <li class="hint">None among the latest events.</li>}
        </ol>
      ) : error ? (
        <Trouble problem={error} retry={() => void refetch()} />
      ) : (
        <Skeleton rows={2} />
      )}
    </Card>
  );
}
