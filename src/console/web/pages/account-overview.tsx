import type { ComponentChildren } from 'preact';
import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { readerOf } from '../api/accounts';
import { isAdmin, isSupervisor } from '../api/session';
import { CreditsByModel } from '../components/credits-by-model';
import { AllocationTable, AllocationTimeline } from '../components/allocations';
import { RangePicker, useRange } from '../components/range';
import { Button, Card, PageHeader, Skeleton, Stat, Tabs, Trouble } from '../components/ui';
import { compact, date, day, daysBetween, plural, relative, whole } from '../format';
import { pathTo } from '../navigation';
import { Activity } from './activity';
import { KeyTable } from './key-table';
import { Diagnosis } from './diagnosis';
import { Ledger, useLedger } from './ledger';
import { Allocate, Deduct } from '../components/money-forms';
import { SessionTable } from './session-table';
import { RECORDS_HINT, UsageTable } from './usage-table';

const SESSIONS_EVERY = 2000;
const BALANCE_EVERY = 5000;

interface AccountOverviewProps {
  userId: string;
  title: string;
  sub: ComponentChildren;
  /** On the page of a user each part has a tab; without tabs, a selection is on one page. */
  tab?: string | undefined;
}

/** The balance of an account, its problems, its allocations and its history. */
export function AccountOverview({ userId, title, sub, tab }: AccountOverviewProps) {
  const reader = readerOf(userId);
  const { startDate, endDate } = useRange();
  const [form, setForm] = useState<'allocate' | 'deduct' | null>(null);
  const balance = useQuery({
    queryKey: ['balance', userId],
    queryFn: ({ signal }) => reader.balance(signal),
    refetchInterval: BALANCE_EVERY,
  });
  const forecast = useQuery({
    queryKey: ['forecast', userId],
    queryFn: ({ signal }) => reader.forecast(signal),
  });
  const sessions = useQuery({
    queryKey: ['sessions', userId],
    queryFn: ({ signal }) => reader.sessions(signal),
    refetchInterval: SESSIONS_EVERY,
  });
  const stats = useQuery({
    queryKey: ['stats', userId, startDate, endDate],
    queryFn: ({ signal }) => reader.stats({ startDate, endDate }, signal),
  });
  const ledger = useLedger(reader);
  const { data } = balance;
  const close = () => setForm(null);
  const runsOutAt = forecast.data?.runsOutAt ?? null;
  const isOut = data?.totalCredits === 0;
  const pace =
    forecast.data === null || forecast.data === undefined ? undefined : forecast.data.creditsPerDay;
  // It stays while the numbers are loaded, so that the focus is not lost.
  const header = (
    <PageHeader title={title} sub={sub}>
      <RangePicker />
      {isSupervisor.value && (
        <Button kind="primary" icon="plus" onClick={() => setForm('allocate')}>
          Allocate
        </Button>
      )}
      {isAdmin.value && (
        <Button icon="minus" onClick={() => setForm('deduct')}>
          Deduct
        </Button>
      )}
    </PageHeader>
  );
  if (data === undefined) {
    return (
      <>
        {header}
        {balance.error ? (
          <Trouble problem={balance.error} retry={() => void balance.refetch()} />
        ) : (
          <Skeleton rows={8} />
        )}
      </>
    );
  }
  return (
    <>
      {header}
      <Diagnosis
        balance={data}
        forecast={forecast.data}
        sessions={sessions.data}
        ledger={ledger.items}
        usage={stats.data?.recentActivity ?? []}
      />
      <div class="stats four">
        <Stat
          label="Available"
          value={<span data-testid="available">{whole(data.totalCredits)}</span>}
          tone={data.totalCredits === 0 ? 'bad' : 'neutral'}
          note={plural(data.activeAllocations.length, 'allocation')}
        />
        <Stat
          label="Held"
          value={whole(data.heldCredits)}
          note={sessions.data && `by ${plural(sessions.data.length, 'session')}`}
        />
        <Stat
          label="Used"
          value={stats.data && compact(stats.data.totalCredits)}
          note={
            pace === undefined
              ? `${day(startDate)} to ${day(endDate)}`
              : `${whole(Math.round(pace))} per day recently`
          }
        />
        <Stat
          label="Runs out"
          value={runsOutAt === null || isOut ? '–' : relative(runsOutAt)}
          note={
            isOut
              ? 'no credits left'
              : runsOutAt === null
                ? forecast.data
                  ? 'not at the current rate'
                  : ''
                : date(runsOutAt)
          }
        />
      </div>
      {tab !== undefined && <AccountTabs userId={userId} tab={tab} />}
      {tab === undefined || tab === 'allocations' ? (
        <div class="grid">
          <Card title="Allocations" hint="The allocation that expires first is spent first" class="half">
            <AllocationTimeline allocations={data.activeAllocations} />
            <AllocationTable forecast={forecast.data} allocations={data.activeAllocations} userId={userId} />
          </Card>
          <Card title="Credits by day and model" class="half">
            {stats.data ? (
              <CreditsByModel {...stats.data} days={daysBetween(startDate, endDate)} />
            ) : stats.error ? (
              <Trouble problem={stats.error} retry={() => void stats.refetch()} />
            ) : (
              <Skeleton />
            )}
          </Card>
        </div>
      ) : null}
      {(tab === undefined || tab === 'allocations') && (
        <Card title="Ledger" hint="Every change to the balance, with the resulting balance">
          <Ledger pages={ledger} />
        </Card>
      )}
      {tab === undefined && <Activity />}
      {tab === 'usage' && (
        <Card title="Usage" hint={RECORDS_HINT}>
          <UsageTable reader={reader} filters={{ startDate, endDate }} />
        </Card>
      )}
      {tab === 'sessions' && (
        <Card title="Active sessions">
          <SessionTable sessions={sessions.data ?? []} isLoading={sessions.isLoading} showUser={false} />
        </Card>
      )}
      {tab === 'keys' && (
        <Card title="API keys">
          <KeyTable reader={reader} />
        </Card>
      )}
      {form === 'allocate' && <Allocate userId={userId} available={data.totalCredits} onClose={close} />}
      {form === 'deduct' && <Deduct userId={userId} available={data.totalCredits} onClose={close} />}
    </>
  );
}

function AccountTabs({ userId, tab }: { userId: string; tab: string }) {
  // A tab keeps the period of the page.
  const query = location.search;
  const to = (part: string) => pathTo('users', userId, part) + query;
  return (
    <Tabs
      label="Account sections"
      current={tab}
      tabs={[
        ['allocations', 'Allocations and ledger', to('allocations')],
        ['usage', 'Usage', to('usage')],
        ['sessions', 'Sessions', to('sessions')],
        ['keys', 'API keys', to('keys')],
      ]}
    />
  );
}
