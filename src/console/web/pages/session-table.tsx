import type { ActiveSession } from '../api/client';
import { Table } from '../components/table';
import { AccountLink, Badge, Credits, Empty, useTick } from '../components/ui';
import { duration, whole } from '../format';
import { isStale } from './diagnosis';

interface SessionTableProps {
  sessions: ActiveSession[];
  isLoading: boolean;
  showUser: boolean;
}

/** Active sessions: their age, and how much of their hold is used. */
export function SessionTable({ sessions, isLoading, showUser }: SessionTableProps) {
  const now = useTick(1000);
  return (
    <Table
      caption="Active sessions"
      rows={sessions}
      keyOf={(session) => `${session.userId} ${session.sessionId}`}
      rowClass={(session) => (isStale(session, now) ? 'stale' : '')}
      isLoading={isLoading}
      empty={
        <Empty icon="sessions" title="No active sessions">
          Sessions appear here when they start and disappear when they end.
        </Empty>
      }
      columns={[
        {
          header: 'Session',
          cell: (session) => (
            <span class="clip mono" title={session.sessionId}>
              {session.sessionId}
            </span>
          ),
          // On a narrow screen the user and the state are more useful.
          isWide: showUser,
        },
        ...(showUser
          ? [{ header: 'User', cell: (session: ActiveSession) => <AccountLink accountId={session.userId} /> }]
          : []),
        {
          header: 'Model',
          cell: (session) => (
            <span class="clip" title={session.modelId}>
              {session.modelId}
            </span>
          ),
          isWide: true,
        },
        { header: 'Age', cell: (session) => duration(now - Date.parse(session.startedAt)), isNumber: true },
        { header: 'Tokens', cell: (session) => whole(session.tokensGenerated), isNumber: true, isWide: true },
        {
          header: 'Hold used',
          cell: (session) => (
            <span class="meter-cell">
              <span class="number">
                <Credits value={session.usedCredits} /> / <Credits value={session.allocatedCredits} />
              </span>
              <meter
                min={0}
                max={Math.max(1, session.allocatedCredits)}
                value={session.usedCredits}
                high={session.allocatedCredits * 0.8}
                optimum={0}
                aria-label={`Hold used by ${session.sessionId}`}
              />
            </span>
          ),
          isNumber: true,
        },
        {
          header: 'State',
          cell: (session) => {
            if (Date.parse(session.expiresAt) <= now) return <Badge tone="bad">expired</Badge>;
            if (isStale(session, now))
              return <Badge tone="warn">stale, {duration(Date.parse(session.expiresAt) - now)} left</Badge>;
            return <Badge tone="good">live</Badge>;
          },
        },
      ]}
    />
  );
}
