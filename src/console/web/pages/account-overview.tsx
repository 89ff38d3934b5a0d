import type { ComponentChildren } from 'preact';
import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { readerOf } from '../api/accounts';
import { isAdmin, isSupervisor } from '../api/session';
import { CreditsByModel } from '../components/credits-by-model';
import { LotTable, LotTimeline } from '../components/lots';
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
  /** Below the account's own page the parts are pages of their own; elsewhere all is on one. */
  tab?: string | undefined;
}

/** Balance, what is wrong with it, its lots, and everything that has happened. */
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
  // It stays while the numbers are read: the focus and the eye have their place.
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
          note={plural(data.activeAllocations.length, 'lot')}
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
              : `${whole(Math.round(pace))} a day lately`
          }
        />
        <Stat
          label="Runs out"
          value={runsOutAt === null || isOut ? '–' : relative(runsOutAt)}
          note={
            isOut
              ? 'nothing is left'
              : runsOutAt === null
                ? forecast.data
                  ? 'not at this pace'
                  : ''
                : date(runsOutAt)
          }
        />
      </div>
      {tab !== undefined && <AccountTabs userId={userId} tab={tab} />}
      {tab === undefined || tab === 'lots' ? (
        <div class="grid">
          <Card title="Lots" hint="The one that expires first is spent first" class="half">
            <LotTimeline lots={data.activeAllocations} />
            <LotTable forecast={forecast.data} lots={data.activeAllocations} userId={userId} />
          </Card>
          <Card title="Credits by day and model" class="half">
            {stats.data ? (
              <CreditsByModel
                byDay={stats.data.byDay}
                byDayAndModel={stats.data.byDayAndModel}
                days={daysBetween(startDate, endDate)}
              />
            ) : stats.error ? (
              <Trouble problem={stats.error} retry={() => void stats.refetch()} />
            ) : (
              <Skeleton />
            )}
          </Card>
        </div>
      ) : null}
      {(tab === undefined || tab === 'lots') && (
        <Card title="Ledger" hint="Every change of the balance, and the balance after it">
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
  // A tab keeps the range of days of the page.
  const query = location.search;
  const to = (part: string) => pathTo('users', userId, part) + query;
  return (
    <Tabs
      label="Of this account"
      current={tab}
      tabs={[
        ['lots', 'Lots and ledger', to('lots')],
        ['usage', 'Usage', to('usage')],
        ['sessions', 'Sessions', to('sessions')],
        ['keys', 'API keys', to('keys')],
      ]}
    />
  );
}
