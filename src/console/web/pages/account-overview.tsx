import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { readerOf } from '../api/accounts';
import { useQuery } from '../api/hooks';
import { isAdmin, isSupervisor } from '../api/session';
import { CreditsByModel } from '../components/credits-by-model';
import { LotTable, LotTimeline } from '../components/lots';
import { currentRange, RangePicker } from '../components/range';
import { Button, Card, PageHeader, Skeleton, Stat, Tabs, Trouble } from '../components/ui';
import { compact, date, day, daysBetween, plural, relative, whole } from '../format';
import { address, pathTo } from '../router';
import { Activity } from './activity';
import { KeyTable } from './key-table';
import { Diagnosis } from './diagnosis';
import { Ledger, useLedger } from './ledger';
import { Allocate, Deduct } from './money-forms';
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
  const { startDate, endDate } = currentRange();
  const [revision, setRevision] = useState(0);
  const [form, setForm] = useState<'allocate' | 'deduct' | null>(null);
  const balance = useQuery(`balance ${userId} ${revision}`, (signal) => reader.balance(signal), {
    everyMilliseconds: BALANCE_EVERY,
  });
  const forecast = useQuery(`forecast ${userId} ${revision}`, (signal) => reader.forecast(signal));
  const sessions = useQuery(`sessions ${userId}`, (signal) => reader.sessions(signal), {
    everyMilliseconds: SESSIONS_EVERY,
  });
  const stats = useQuery(`stats ${userId} ${startDate} ${endDate} ${revision}`, (signal) =>
    reader.stats({ startDate, endDate }, signal),
  );
  const ledger = useLedger(reader, revision);
  const { data } = balance;
  const changed = () => {
    setForm(null);
    setRevision((before) => before + 1);
  };
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
        {balance.problem ? (
          <Trouble problem={balance.problem} retry={balance.refresh} />
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
            <LotTable
              forecast={forecast.data}
              lots={data.activeAllocations}
              userId={userId}
              onChanged={changed}
            />
          </Card>
          <Card title="Credits by day and model" class="half">
            {stats.data ? (
              <CreditsByModel
                byDay={stats.data.byDay}
                byDayAndModel={stats.data.byDayAndModel}
                days={daysBetween(startDate, endDate)}
              />
            ) : stats.problem ? (
              <Trouble problem={stats.problem} retry={stats.refresh} />
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
          <UsageTable reader={reader} filters={{ startDate, endDate }} revision={revision} />
        </Card>
      )}
      {tab === 'sessions' && (
        <Card title="Active sessions">
          <SessionTable
            sessions={sessions.data ?? []}
            isLoading={sessions.data === undefined && sessions.isLoading}
            showUser={false}
          />
        </Card>
      )}
      {tab === 'keys' && (
        <Card title="API keys">
          <KeyTable reader={reader} />
        </Card>
      )}
      {form === 'allocate' && (
        <Allocate
          userId={userId}
          available={data.totalCredits}
          onClose={() => setForm(null)}
          onDone={changed}
        />
      )}
      {form === 'deduct' && (
        <Deduct
          userId={userId}
          available={data.totalCredits}
          onClose={() => setForm(null)}
          onDone={changed}
        />
      )}
    </>
  );
}

function AccountTabs({ userId, tab }: { userId: string; tab: string }) {
  const query = address.value.search.toString();
  const to = (part: string) => pathTo('users', userId, part) + (query === '' ? '' : `?${query}`);
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
