import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { readerOf } from '../api/accounts';
import { answer, api } from '../api/client';
import { isAdmin, isSupervisor, session } from '../api/session';
import { SearchField } from '../components/search';
import { Card, PageHeader, Stat, Trouble } from '../components/ui';
import { UserPicker } from '../components/user-picker';
import { credits, whole } from '../format';
import { useSearch } from '../navigation';
import { isStale } from './diagnosis';
import { SessionTable } from './session-table';

const EVERY = 2000;
const MOST_SESSIONS = 10_000;

export function Sessions() {
  const self = session.value?.userId ?? '';
  const { search, setSearch } = useSearch();
  const user = search.user ?? self;
  const [text, setText] = useState('');
  const isAll = isAdmin.value;
  const { data, error, isLoading, refetch } = useQuery({
    queryKey: isAll ? ['all-sessions'] : ['sessions', user],
    queryFn: ({ signal }) =>
      isAll
        ? answer(
            api.GET('/api/streaming-sessions/active/all', {
              params: { query: { limit: MOST_SESSIONS } },
              signal,
            }),
          )
        : readerOf(user).sessions(signal),
    refetchInterval: EVERY,
  });
  const wanted = text.trim().toLowerCase();
  const shown = (data ?? []).filter(({ sessionId, userId, modelId }) =>
    `${sessionId} ${userId} ${modelId}`.toLowerCase().includes(wanted),
  );
  const now = Date.now();
  return (
    <>
      <PageHeader
        title="Sessions"
        sub={
          isAll
            ? 'All active streaming sessions, updated every 2 seconds'
            : `Active streaming sessions of ${user}`
        }
      >
        {isSupervisor.value && !isAll && (
          <UserPicker key={user} value={user} onChange={(userId) => setSearch({ user: userId })} />
        )}
      </PageHeader>
      {data === undefined && error ? (
        <Trouble problem={error} retry={() => void refetch()} />
      ) : (
        <>
          <div class="stats four" aria-live="off">
            <Stat
              label="Active"
              value={data && <span data-testid="active-sessions">{whole(data.length)}</span>}
              note={data && data.length >= MOST_SESSIONS ? 'or more' : 'sessions'}
            />
            <Stat
              label="Held"
              value={data && credits(data.reduce((sum, { allocatedCredits }) => sum + allocatedCredits, 0))}
              note="credits"
            />
            <Stat
              label="Used so far"
              value={data && credits(data.reduce((sum, { usedCredits }) => sum + usedCredits, 0))}
              note="credits"
            />
            <Stat
              label="Stale"
              value={data && whole(data.filter((one) => isStale(one, now)).length)}
              note="no recent sign of life"
              tone={data?.some((one) => isStale(one, now)) ? 'warn' : 'neutral'}
            />
          </div>
          <SearchField
            label="Search sessions"
            value={text}
            onChange={setText}
            placeholder="Session, user or model"
          />
          <Card>
            <SessionTable sessions={shown} isLoading={isLoading} showUser={isAll} />
          </Card>
        </>
      )}
    </>
  );
}
