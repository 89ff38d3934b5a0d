import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { type Range, totals } from '../api/accounts';
import { answer, api, type SystemStats } from '../api/client';
import { isAdmin, isSupervisor, session } from '../api/session';
import { TimeChart } from '../components/chart';
import { CreditsByModel, isRest } from '../components/credits-by-model';
import { previousOf, RangePicker, useRange } from '../components/range';
import { Button, Card, Credits, PageHeader, Skeleton, Figure, Trouble, UserLink } from '../components/ui';
import { compact, credits, day, daysBetween, percent, plural, usd, whole } from '../format';
import { meaningOf } from '../figures';
import { pathTo } from '../navigation';
import { Activity } from './activity';
import { AliasForm } from './alias-form';
import { AccountOverview } from './account-overview';
import { ModelMargins } from './model-margins';
import { TroubledUsers } from './troubled-users';

/** Five steps of a cent on the axis. */
const LEAST_DOLLARS = 0.05;

export function Overview() {
  if (isAdmin.value) return <SystemOverview />;
  return isSupervisor.value ? <SupervisorOverview /> : <OwnOverview />;
}

/** The accounts that a supervisor can help; their own account is one click away. */
function SupervisorOverview() {
  return (
    <>
      <PageHeader title="Overview" sub="Accounts needing help">
        <a class="button plain" href={pathTo('users', session.value?.userId ?? '')}>
          Your account
        </a>
      </PageHeader>
      <div class="grid">
        <div class="half stack">
          <TroubledUsers />
        </div>
        <div class="half stack">
          <Activity />
        </div>
      </div>
    </>
  );
}

function OwnOverview() {
  const name = session.value?.username ?? '';
  return (
    <AccountOverview accountId={session.value?.userId ?? ''} title="Overview" sub={`${name}’s account`} />
  );
}

function SystemOverview() {
  const { startDate, endDate } = useRange();
  const range = { startDate, endDate };
  const before = previousOf(range);
  const statsOf = (query: Range & { top: number }) => ({
    queryKey: ['system-stats', query],
    queryFn: ({ signal }: { signal: AbortSignal }) =>
      answer(api.GET('/api/usage/system-stats', { params: { query }, signal })),
  });
  const stats = useQuery({ ...statsOf({ ...range, top: 8 }), refetchInterval: 30_000 });
  const earlier = useQuery(statsOf({ ...before, top: 1 }));
  const now = useQuery({
    queryKey: ['totals'],
    queryFn: ({ signal }) => totals(signal),
    refetchInterval: 5000,
  });
  const waiting = useQuery({
    queryKey: ['to-review'],
    queryFn: ({ signal }) => callsToReview(signal),
    refetchInterval: 60_000,
  });
  const { data } = stats;
  // It stays whatever the service answers: the period is chosen here.
  const header = (
    <PageHeader title="Overview" sub={`${span(startDate, endDate)} (UTC)`}>
      <RangePicker hasYesterday />
    </PageHeader>
  );
  if (data === undefined && stats.error) {
    return (
      <>
        {header}
        <Trouble problem={stats.error} retry={() => void stats.refetch()} />
      </>
    );
  }
  return (
    <>
      {header}
      <div class="stats">
        <Figure
          label="Credits used"
          value={data && credits(data.totalCredits)}
          note={
            data &&
            [plural(data.totalRecords, 'call'), earlier.data && change(data, earlier.data, before)].join(
              ' · ',
            )
          }
        />
        <Figure
          label="Collected"
          value={data && credits(data.collectedCredits)}
          note={data && `${usd(data.incomeUsd)} of income`}
        />
        <Figure
          label="Uncollected"
          value={data && credits(data.uncollectedCredits)}
          note="not covered by a balance"
        />
        <Figure
          label="Only recorded"
          value={data && credits(data.recordedCredits)}
          note="settled elsewhere"
        />
        <Figure
          label="Income at known cost"
          value={data && usd(data.costedIncomeUsd, '–')}
          note={data && `of ${plural(data.costedRecords, 'call')}`}
        />
        <Figure
          label="Provider cost"
          value={data && usd(data.providerCostUsd, '–')}
          note={data && (data.costedRecords === 0 ? 'not known' : 'of the same calls')}
        />
        <Figure
          label="Margin"
          value={data && usd(data.marginUsd, '–')}
          tone={marginTone(data)}
          note={data && marginNote(data)}
        />
        <Figure
          label="Income at unknown cost"
          value={data && usd(unknownIncome(data))}
          note={data && `of ${plural(data.totalRecords - data.costedRecords, 'call')}, in no margin`}
        />
        <Figure
          label="Available"
          value={now.data && credits(now.data.availableCredits)}
          note={now.data && `credits across ${plural(now.data.users, 'user')}`}
          href={pathTo('users')}
        />
        <Figure label="Held" value={now.data && credits(now.data.heldCredits)} note="by active sessions" />
        <Figure
          label="Active sessions"
          value={now.data && whole(now.data.activeSessions)}
          note="now"
          href={pathTo('sessions')}
        />
        <Figure
          label="To review"
          value={waiting.data && waiting.data.calls}
          tone={waiting.data && waiting.data.credits > 0 ? 'bad' : 'neutral'}
          note={waiting.data && `${waiting.data.missing} uncollected`}
          href={pathTo('review')}
        />
      </div>
      {data === undefined ? (
        <Skeleton rows={8} />
      ) : (
        <SystemCharts stats={data} waiting={waiting.data} days={daysBetween(startDate, endDate)} />
      )}
    </>
  );
}

function SystemCharts({
  stats,
  waiting,
  days,
}: {
  stats: SystemStats;
  waiting: Waiting | undefined;
  days: string[];
}) {
  const labels = days.map(day);
  const income = days.map((name) => Number(stats.marginByDay[name]?.costedIncomeUsd ?? 0));
  const cost = days.map((name) => Number(stats.marginByDay[name]?.providerCostUsd ?? 0));
  const users = Object.entries(stats.byUser).sort(([, a], [, b]) => b - a);
  const dollars = (value: number) => (value < 1000 ? usd(value) : `$${compact(value)}`);
  return (
    <div class="grid">
      <Card title="Credits by day and model" class="two-thirds">
        <CreditsByModel {...stats} days={days} />
      </Card>
      <Card title="Income and provider cost" hint="Calls whose provider cost is known" class="third">
        <TimeChart
          title="Income and provider cost by day, in USD"
          labels={labels}
          format={(value) => usd(value)}
          axisFormat={dollars}
          leastHeight={LEAST_DOLLARS}
          series={[
            { label: 'Income', color: 'chart-2', values: income, hint: meaningOf('Income at known cost') },
            { label: 'Provider cost', color: 'chart-3', values: cost, hint: meaningOf('Provider cost') },
          ]}
        />
      </Card>
      <ModelMargins stats={stats} days={days} />
      <div class="third stack beside">
        <Card title="Needs attention">
          <Attention stats={stats} waiting={waiting} />
        </Card>
        <TroubledUsers />
        <Card title="Top users">
          <ol class="ranking">
            {users.map(([userId, credits]) => (
              <li key={userId}>
                <UserLink userId={userId} />
                <Credits value={credits} />
              </li>
            ))}
            {users.length === 0 && (
              <li class="hint">{stats.byUserAsOf === null ? 'Being added up.' : 'No credits used.'}</li>
            )}
          </ol>
        </Card>
      </div>
      <div class="two-thirds stack">
        <Activity />
      </div>
    </div>
  );
}

interface Waiting {
  calls: string;
  credits: number;
  missing: string;
}

const MOST_COUNTED = 200;

/** The calls to review, of all time like the page of reviews, not only of the selected period. */
async function callsToReview(signal: AbortSignal): Promise<Waiting> {
  const { items, nextCursor } = await answer(
    api.GET('/api/usage/needs-review', { params: { query: { limit: MOST_COUNTED } }, signal }),
  );
  const isMore = nextCursor !== null;
  const credits = items.reduce((sum, { uncollectedCredits }) => sum + uncollectedCredits, 0);
  return {
    calls: isMore ? `${whole(items.length)}+` : whole(items.length),
    credits,
    missing: isMore ? `${whole(credits)}+ credits` : plural(credits, 'credit'),
  };
}

function Attention({ stats, waiting }: { stats: SystemStats; waiting: Waiting | undefined }) {
  const { unpricedModels, truncated } = stats;
  const [aliased, setAliased] = useState<string | null>(null);
  const loss = (['marginByModel', 'marginByOperation'] as const).flatMap((map) =>
    Object.entries(stats[map]).filter(
      ([name, { marginUsd }]) => !isRest(name, truncated.includes(map)) && Number(marginUsd ?? 0) < 0,
    ),
  );
  const isWaiting = waiting !== undefined && waiting.calls !== '0';
  if (!isWaiting && unpricedModels.length === 0 && loss.length === 0)
    return <p class="hint">Nothing needs attention.</p>;
  return (
    <>
      <ul class="attention">
        {isWaiting && (
          <li>
            <a href={pathTo('review')}>
              {waiting.calls} {waiting.calls === '1' ? 'call' : 'calls'} to review
            </a>
            <span class="hint">{waiting.missing}</span>
          </li>
        )}
        {unpricedModels.map(({ modelId, records }) => (
          <li key={modelId}>
            <a class="clip" href={pathTo('prices', modelId)}>
              {modelId}
            </a>
            <span class="hint">no price, {plural(records, 'call')}</span>
            <Button kind="quiet" aria-label={`Alias ${modelId}`} onClick={() => setAliased(modelId)}>
              Alias
            </Button>
          </li>
        ))}
        {loss.map(([modelId, { marginUsd }]) => (
          <li key={modelId}>
            <a class="clip" href={pathTo('prices', modelId)}>
              {modelId}
            </a>
            <span class="hint">loses {usd(Math.abs(Number(marginUsd)))}</span>
          </li>
        ))}
      </ul>
      {aliased !== null && <AliasForm alias={aliased} onClose={() => setAliased(null)} />}
    </>
  );
}

const span = (start: string, end: string) => (start === end ? day(start) : `${day(start)} to ${day(end)}`);

/** Compared with as many days before; without figures when usage began during those, which would look like growth. */
function change(now: SystemStats, before: SystemStats, range: Range): string {
  const days = daysBetween(range.startDate, range.endDate);
  const first = days.findIndex((name) => (before.byDay[name] ?? 0) > 0);
  // A weekend without usage is not the time before the first user.
  if (first < 0 || first > days.length / 7) return 'selected period';
  const share = (now.totalCredits - before.totalCredits) / before.totalCredits;
  const against = days.length === 1 ? 'the previous day' : `the previous ${days.length} days`;
  return `${share >= 0 ? '+' : '−'}${Math.abs(share * 100).toFixed(0)} % vs ${against}`;
}

/** Exact enough: both are added up by the service, and shown to the cent. */
const unknownIncome = ({ incomeUsd, costedIncomeUsd }: SystemStats) =>
  Number(incomeUsd) - Number(costedIncomeUsd ?? 0);

const marginNote = ({ marginUsd, costedIncomeUsd }: SystemStats) =>
  marginUsd === null
    ? 'no provider cost known'
    : `${percent(Number(marginUsd), Number(costedIncomeUsd))} of that income`;

const marginTone = (stats: SystemStats | undefined) =>
  stats?.marginUsd === null || stats === undefined ? 'neutral' : Number(stats.marginUsd) < 0 ? 'bad' : 'good';
