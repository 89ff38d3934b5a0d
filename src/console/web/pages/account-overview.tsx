import type { ComponentChildren } from 'preact';
import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { isOrganisation, readerOf } from '../api/accounts';
import { budgetsOf, usedUp } from '../api/budgets';
import { useNames } from '../api/names';
import { isAdmin, isSupervisor, session } from '../api/session';
import { CreditsByModel } from '../components/credits-by-model';
import { AllocationTable, AllocationTimeline } from '../components/allocations';
import { RangePicker, useRange } from '../components/range';
import { Button, Card, PageHeader, Skeleton, Stat, Tabs, Trouble } from '../components/ui';
import { credits, date, day, daysBetween, plural, relative, whole } from '../format';
import { pathToAccount, pathToUsage } from '../navigation';
import { AccountBudgets } from './account-budgets';
import { Activity } from './activity';
import { KeyTable } from './key-table';
import { Diagnosis } from './diagnosis';
import { Ledger, useLedger } from './ledger';
import { Allocate, Deduct } from '../components/money-forms';
import { SessionTable } from './session-table';
import { Spenders } from './spenders';
import { RECORDS_HINT, UsageTable } from './usage-table';

const EVERY = 2000;

/** A tab of the page, with its content. */
export type Part = [id: string, text: string, content: () => ComponentChildren];

interface AccountOverviewProps {
  accountId: string;
  title: string;
  sub: ComponentChildren;
  /** On the page of an account each part has a tab; without tabs, a selection is on one page. */
  tab?: string | undefined;
  /** Parts that come before those of every account. */
  parts?: Part[];
  /** Plain members of an organisation see only what is theirs. */
  seesAll?: boolean;
}

/** The balance of an account, its problems, its allocations and its history. */
export function AccountOverview(props: AccountOverviewProps) {
  const { accountId, title, sub, tab, parts = [], seesAll = true } = props;
  const reader = readerOf(accountId);
  const { startDate, endDate } = useRange();
  const [form, setForm] = useState<'allocate' | 'deduct' | null>(null);
  // Together, so that what is held and the sessions that hold it agree.
  const now = useQuery({
    queryKey: ['balance and sessions', accountId],
    queryFn: async ({ signal }) => {
      const [balance, sessions] = await Promise.all([reader.balance(signal), reader.sessions(signal)]);
      return { balance, sessions };
    },
    refetchInterval: EVERY,
  });
  const forecast = useQuery({
    queryKey: ['forecast', accountId],
    queryFn: ({ signal }) => reader.forecast(signal),
    refetchInterval: EVERY,
    enabled: seesAll,
  });
  const stats = useQuery({
    queryKey: ['stats', accountId, startDate, endDate],
    queryFn: ({ signal }) => reader.stats({ startDate, endDate }, signal),
  });
  const ledger = useLedger(reader);
  const names = useNames(accountId);
  const isShared = isOrganisation(accountId);
  const member = isShared ? session.value?.userId : accountId;
  const budgets = useQuery(budgetsOf(accountId, isShared && seesAll ? undefined : member));
  const close = () => setForm(null);
  const runsOutAt = forecast.data?.runsOutAt ?? null;
  const pace =
    forecast.data === null || forecast.data === undefined ? undefined : forecast.data.creditsPerDay;
  const isKnown = now.data !== undefined || !now.error?.isMissing;
  // It stays while the numbers are loaded, so that the focus is not lost.
  const header = (
    <PageHeader title={title} sub={sub}>
      <RangePicker />
      {isSupervisor.value && isKnown && (
        <Button kind="primary" icon="plus" onClick={() => setForm('allocate')}>
          Allocate
        </Button>
      )}
      {isAdmin.value && isKnown && (
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
  const allocations = () => (
    <>
      <div class="grid">
        <Card title="Allocations" hint="The allocation that expires first is spent first" class="half">
          <AllocationTimeline allocations={balance.activeAllocations} />
          <AllocationTable
            forecast={forecast.data}
            allocations={balance.activeAllocations}
            accountId={accountId}
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
      <Card title="Ledger" hint="Every change to the balance, with the resulting balance">
        <Ledger pages={ledger} address={reader.ledgerAddress} />
      </Card>
    </>
  );
  const usage = () => (
    <>
      {isShared && seesAll && stats.data && <Spenders stats={stats.data} names={names} />}
      <Card
        title="Usage"
        hint={RECORDS_HINT}
        actions={
          <a class="button plain" href={pathToUsage(accountId)}>
            Filter or download
          </a>
        }
      >
        <UsageTable reader={reader} filters={{ startDate, endDate }} showUser={isShared && seesAll} />
      </Card>
    </>
  );
  const activeSessions = () => (
    <Card title="Active sessions">
      <SessionTable sessions={sessions} isLoading={false} showUser={isShared && seesAll} />
    </Card>
  );
  const keys = () => (
    <Card title="API keys">
      <KeyTable reader={reader} />
    </Card>
  );
  const ownBudgets = () => <AccountBudgets userId={accountId} names={names} />;
  const tabs: Part[] = [
    ...parts,
    ...(seesAll ? [['allocations', 'Allocations and ledger', allocations] satisfies Part] : []),
    ['usage', 'Usage', usage],
    ['sessions', 'Sessions', activeSessions],
    ...(isShared
      ? []
      : ([
          ['budgets', 'Budgets', ownBudgets],
          ['keys', 'API keys', keys],
        ] satisfies Part[])),
  ];
  // An address may name a part that there is not, such as one of another kind of account.
  const shown = tabs.find(([part]) => part === tab) ?? tabs[0];
  return (
    <>
      {header}
      <Diagnosis
        balance={balance}
        forecast={forecast.data}
        sessions={sessions}
        ledger={seesAll ? ledger.items : undefined}
        usedUp={usedUp(budgets.data ?? [])}
        names={names}
        stats={stats.data}
      />
      <div class="stats four">
        <Stat
          label="Available"
          figure="Available"
          value={<span data-testid="available">{whole(balance.totalCredits)}</span>}
          tone={isOut ? 'bad' : 'neutral'}
          note={plural(balance.activeAllocations.length, 'allocation')}
        />
        <Stat
          label="Held"
          figure="Held"
          value={whole(balance.heldCredits)}
          note={seesAll ? `by ${plural(sessions.length, 'session')}` : 'by all members'}
        />
        <Stat
          label={seesAll ? 'Used' : 'Used by you'}
          figure="Credits used"
          value={stats.data && credits(stats.data.totalCredits)}
          note={
            pace === undefined
              ? `${day(startDate)} to ${day(endDate)}`
              : `${whole(Math.round(pace))} per day recently`
          }
        />
        <Stat
          label="Runs out"
          figure="Runs out"
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
      {tab === undefined ? (
        <>
          {allocations()}
          {ownBudgets()}
          <Activity />
        </>
      ) : (
        <>
          {/* A tab keeps the period of the page. */}
          <Tabs
            label="Account sections"
            current={shown?.[0] ?? ''}
            tabs={tabs.map(([part, text]) => [part, text, pathToAccount(accountId, part) + location.search])}
          />
          {shown?.[2]()}
        </>
      )}
      {form === 'allocate' && (
        <Allocate accountId={accountId} available={balance.totalCredits} onClose={close} />
      )}
      {form === 'deduct' && <Deduct accountId={accountId} available={balance.totalCredits} onClose={close} />}
    </>
  );
}
