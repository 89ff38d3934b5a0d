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

const EVERY = 2000;

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
  // Together, so that what is held and the sessions that hold it agree.
  const now = useQuery({
    queryKey: ['balance and sessions', userId],
    queryFn: async ({ signal }) => {
      const [balance, sessions] = await Promise.all([reader.balance(signal), reader.sessions(signal)]);
      return { balance, sessions };
    },
    refetchInterval: EVERY,
  });
  const forecast = useQuery({
    queryKey: ['forecast', userId],
    queryFn: ({ signal }) => reader.forecast(signal),
    refetchInterval: EVERY,
  });
  const stats = useQuery({
    queryKey: ['stats', userId, startDate, endDate],
    queryFn: ({ signal }) => reader.stats({ startDate, endDate }, signal),
  });
  const ledger = useLedger(reader);
  const close = () => setForm(null);
  const runsOutAt = forecast.data?.runsOutAt ?? null;
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
  if (now.data === undefined) {
    return (
      <>
        {header}
        {now.error ? <Trouble problem={now.error} retry={() => void now.refetch()} /> : <Skeleton rows={8} />}
      </>
    );
  }
  const { balance, sessions } = now.data;
  const isOut = balance.totalCredits === 0;
  return (
    <>
      {header}
      <Diagnosis
        balance={balance}
        forecast={forecast.data}
        sessions={sessions}
        ledger={ledger.items}
        usage={stats.data?.recentActivity ?? []}
      />
      <div class="stats four">
        <Stat
          label="Available"
          value={<span data-testid="available">{whole(balance.totalCredits)}</span>}
          tone={isOut ? 'bad' : 'neutral'}
          note={plural(balance.activeAllocations.length, 'allocation')}
        />
        <Stat
          label="Held"
          value={whole(balance.heldCredits)}
          note={`by ${plural(sessions.length, 'session')}`}
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
              ? balance.heldCredits > 0
                ? 'all credits are held'
                : 'no credits left'
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
            <AllocationTimeline allocations={balance.activeAllocations} />
            <AllocationTable
              forecast={forecast.data}
              allocations={balance.activeAllocations}
              userId={userId}
            />
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
          <SessionTable sessions={sessions} isLoading={false} showUser={false} />
        </Card>
      )}
      {tab === 'keys' && (
        <Card title="API keys">
          <KeyTable reader={reader} />
        </Card>
      )}
      {form === 'allocate' && <Allocate userId={userId} available={balance.totalCredits} onClose={close} />}
      {form === 'deduct' && <Deduct userId={userId} available={balance.totalCredits} onClose={close} />}
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
