import { useQuery } from '@tanstack/preact-query';
import { useEffect, useState } from 'preact/hooks';
import { type AllUsageFilters, everyone, type Range, readerOf, type UsageFilters } from '../api/accounts';
import { answer, api, send, type UsageRecord, type UsageStats } from '../api/client';
import { useAction } from '../api/hooks';
import { problemOf } from '../api/problem';
import { isAdmin, isSupervisor, session } from '../api/session';
import { CreditsByModel, isRest } from '../components/credits-by-model';
import { RangePicker, useRange } from '../components/range';
import { toast } from '../components/toasts';
import { Button, Card, PageHeader, Skeleton, Stat, Trouble } from '../components/ui';
import { UserPicker } from '../components/user-picker';
import { compact, daysBetween, whole } from '../format';
import { useSearch } from '../navigation';
import { OPERATION, RECORDS_HINT, UsageTable } from './usage-table';

const STATUSES: UsageRecord['billingStatus'][] = ['recorded', 'billed', 'needs_review', 'waived'];
/** Filters that only the list over all users has. */
const ADMIN_FILTERS = ['status', 'apiKey', 'session', 'request'] as const;

export function Usage() {
  const isAll = isAdmin.value;
  const self = session.value?.userId ?? '';
  const { search, setSearch } = useSearch();
  const user = search.user ?? (isAll ? '' : self);
  const range = useRange();
  const { startDate, endDate } = range;
  const text = (name: string) => search[name] ?? '';
  const filters = filtersOf(range, text);
  const wanted: AllUsageFilters = isAll ? { ...filters, ...adminFiltersOf(user, text) } : filters;
  const stats = useQuery({
    queryKey: ['stats', user, startDate, endDate],
    queryFn: ({ signal }): Promise<Statistics> =>
      user === ''
        ? answer(
            api.GET('/api/usage/system-stats', { params: { query: { startDate, endDate, top: 0 } }, signal }),
          )
        : readerOf(user).stats({ startDate, endDate }, signal),
  });
  const days = daysBetween(startDate, endDate);
  const whose =
    isSupervisor.value && !isAll && user === self
      ? 'Your calls (enter a user to see theirs)'
      : `Calls by ${user || 'all users'}`;
  const isNarrowed = ['service', 'operation', ...ADMIN_FILTERS].some((name) => text(name) !== '');
  const download = useAction(
    async () => {
      const query = new URLSearchParams(Object.entries(wanted).map(([name, value]) => [name, String(value)]));
      const response = await send(
        new Request(`${location.origin}${pathOf(isAll, user)}?${query.toString()}`, {
          headers: { Accept: 'text/csv' },
        }),
      );
      if (!response.ok)
        throw problemOf(response.status, await response.json().catch(() => null), response.headers);
      save(await response.blob(), `usage-${user || 'all'}-${startDate}-${endDate}.csv`);
      toast('CSV downloaded', 'good');
    },
    { isRead: true },
  );
  return (
    <>
      <PageHeader title="Usage" sub={`${whose}, days in UTC`}>
        <RangePicker />
      </PageHeader>
      <div class="filters">
        {isSupervisor.value && (
          <UserPicker
            key={user}
            value={user}
            allowsAll={isAll}
            onChange={(userId) => setSearch({ user: userId === self && !isAll ? null : userId })}
          />
        )}
        <FilterField
          label="Service"
          name="service"
          value={text('service')}
          options={namesOf(stats.data, 'byService')}
        />
        <FilterField
          label={OPERATION}
          name="operation"
          value={text('operation')}
          options={namesOf(stats.data, 'byModel')}
        />
        {isAll && <AdminFilters text={text} />}
        <Button icon="download" isBusy={download.isBusy} onClick={() => void download.run()}>
          CSV
        </Button>
      </div>
      {download.problem && (
        <p class="note bad" role="alert">
          {download.problem.message}
        </p>
      )}
      {stats.error && stats.data === undefined ? (
        <Trouble problem={stats.error} retry={() => void stats.refetch()} />
      ) : (
        <>
          <div class="stats four">
            <Stat
              label="Credits"
              value={stats.data && compact(stats.data.totalCredits)}
              note="selected period, all services"
            />
            <Stat label="Calls" value={stats.data && whole(stats.data.totalRecords)} note="records" />
            <Stat label="Models" value={stats.data && modelsOf(stats.data)} note="used in chats" />
            <Stat
              label="Per day"
              value={stats.data && compact(Math.round(stats.data.totalCredits / Math.max(1, days.length)))}
              note="average credits"
            />
          </div>
          <Card
            title="Credits by day and model"
            {...(isNarrowed
              ? {
                  hint: `All calls by ${user || 'all users'}. The other filters apply only to the records below.`,
                }
              : {})}
          >
            {stats.data ? <CreditsByModel {...stats.data} days={days} /> : <Skeleton />}
          </Card>
          <Card title="Records" hint={RECORDS_HINT}>
            {isAll ? (
              <UsageTable reader={everyone} filters={wanted} showUser={user === ''} />
            ) : (
              <UsageTable reader={readerOf(user)} filters={filters} />
            )}
          </Card>
        </>
      )}
    </>
  );
}

type Statistics = Pick<
  UsageStats,
  'totalCredits' | 'totalRecords' | 'byService' | 'byDay' | 'byModel' | 'byDayAndModel' | 'truncated'
>;

function filtersOf({ startDate, endDate }: Range, text: (name: string) => string): UsageFilters {
  const [service, operation] = [text('service'), text('operation')];
  return {
    startDate,
    endDate,
    ...(service === '' ? {} : { service }),
    ...(operation === '' ? {} : { operation }),
  };
}

function adminFiltersOf(userId: string, text: (name: string) => string): AllUsageFilters {
  const [status, key, sessionId, requestId] = ADMIN_FILTERS.map(text) as [string, string, string, string];
  return {
    ...(userId === '' ? {} : { userId }),
    ...(status === '' ? {} : { billingStatus: status as UsageRecord['billingStatus'] }),
    // The service refuses NaN, and anything else that is not an id.
    ...(key === '' ? {} : { apiKeyId: Number(key.replace(/^#/, '')) }),
    ...(sessionId === '' ? {} : { sessionId }),
    ...(requestId === '' ? {} : { requestId }),
  };
}

function pathOf(isAll: boolean, user: string): string {
  if (isAll) return '/api/usage/records/all';
  return user === session.value?.userId
    ? '/api/usage/records'
    : `/api/usage/records/user/${encodeURIComponent(user)}`;
}

function AdminFilters({ text }: { text: (name: string) => string }) {
  const { setSearch } = useSearch();
  return (
    <>
      <div class="field inline">
        <label for="filter-status">Status</label>
        <select
          id="filter-status"
          value={text('status')}
          onChange={(event) => setSearch({ status: event.currentTarget.value })}
        >
          <option value="">all</option>
          {STATUSES.map((status) => (
            <option key={status} value={status}>
              {status.replace('_', ' ')}
            </option>
          ))}
        </select>
      </div>
      <FilterField label="API key" name="apiKey" value={text('apiKey')} options={[]} />
      <FilterField label="Session" name="session" value={text('session')} options={[]} />
      <FilterField label="Request" name="request" value={text('request')} options={[]} />
      {[...ADMIN_FILTERS, 'service', 'operation', 'user'].some((name) => text(name) !== '') && (
        <Button
          kind="quiet"
          onClick={() =>
            setSearch({
              ...Object.fromEntries(ADMIN_FILTERS.map((name) => [name, null])),
              ...{ service: null, operation: null, user: null },
            })
          }
        >
          Clear filters
        </Button>
      )}
    </>
  );
}

function FilterField({
  label,
  name,
  value,
  options,
}: {
  label: string;
  name: string;
  value: string;
  options: string[];
}) {
  const { setSearch } = useSearch();
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const id = `filter-${name}`;
  return (
    <div class="field inline">
      <label for={id}>{label}</label>
      <input
        id={id}
        list={`${id}-list`}
        value={text}
        placeholder="all"
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          setText(event.currentTarget.value);
          if (event.currentTarget.value === '' || options.includes(event.currentTarget.value))
            setSearch({ [name]: event.currentTarget.value });
        }}
        onChange={(event) => setSearch({ [name]: event.currentTarget.value.trim() })}
      />
      <datalist id={`${id}-list`}>
        {options.map((option) => (
          <option key={option} value={option} />
        ))}
      </datalist>
    </div>
  );
}

/** Without the entry for everything that the API does not list by name. */
function namesOf(stats: Statistics | undefined, map: 'byService' | 'byModel'): string[] {
  return Object.keys(stats?.[map] ?? {}).filter(
    (name) => !isRest(name, stats?.truncated.includes(map) ?? false),
  );
}

function modelsOf(stats: Statistics): string {
  return `${whole(namesOf(stats, 'byModel').length)}${stats.truncated.includes('byModel') ? '+' : ''}`;
}

function save(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // By then the browser has started to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
