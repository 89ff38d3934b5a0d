import { useQuery } from '@tanstack/preact-query';
import { useEffect, useState } from 'preact/hooks';
import {
  type AllUsageFilters,
  everyone,
  isOrganisation,
  type Range,
  readerOf,
  type UsageFilters,
} from '../api/accounts';
import { answer, api, type UsageRecord, type UsageStats } from '../api/client';
import { choicesOf } from '../api/limits';
import { useNames } from '../api/names';
import { isAdmin, isSupervisor, session } from '../api/session';
import { CreditsByModel, isRest } from '../components/credits-by-model';
import { DownloadCsv } from '../components/download-csv';
import { Select } from '../components/form';
import { RangePicker, useRange } from '../components/range';
import { Button, Card, PageHeader, Skeleton, Figure, Trouble } from '../components/ui';
import { UserPicker } from '../components/user-picker';
import { credits, daysBetween, whole } from '../format';
import { useSearch } from '../navigation';
import { OPERATION, RECORDS_HINT, UsageTable } from './usage-table';

const STATUSES: UsageRecord['billingStatus'][] = ['recorded', 'billed', 'needs_review', 'waived'];
const FILTERS = ['service', 'operation', 'apiKey', 'tag', 'member', 'unit'] as const;
/** Filters that only the list over all users has. */
const ADMIN_FILTERS = ['status', 'session', 'request'] as const;

export function Usage() {
  const self = session.value?.userId ?? '';
  const { search, setSearch } = useSearch();
  const user = search.user ?? (isAdmin.value ? '' : self);
  const isShared = isOrganisation(user);
  // The list over all users takes no organisation as its user.
  const isAll = isAdmin.value && !isShared;
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
    isSupervisor.value && !isAdmin.value && user === self
      ? 'Your calls (enter a user to see theirs)'
      : `Calls by ${user || 'all users'}`;
  const isNarrowed = [...FILTERS, ...ADMIN_FILTERS].some((name) => text(name) !== '');
  const query = new URLSearchParams(Object.entries(wanted).map(([name, value]) => [name, String(value)]));
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
            allowsAll={isAdmin.value}
            onChange={(userId) =>
              setSearch({
                user: userId === self && !isAdmin.value ? null : userId,
                member: null,
                unit: null,
              })
            }
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
        <FilterField label="API key" name="apiKey" value={text('apiKey')} options={[]} />
        <FilterField label="Tag" name="tag" value={text('tag')} options={[]} />
        {isShared && (
          <OrganisationFilters accountId={user} members={namesOf(stats.data, 'byUser')} text={text} />
        )}
        {isAll && <AdminFilters text={text} />}
        {(isNarrowed || (isAll && user !== '')) && (
          <Button
            kind="quiet"
            onClick={() =>
              setSearch({
                ...Object.fromEntries([...FILTERS, ...ADMIN_FILTERS].map((name) => [name, null])),
                ...(isAll ? { user: null } : {}),
              })
            }
          >
            Clear filters
          </Button>
        )}
        <DownloadCsv
          address={`${addressOf(isAll, user)}${query.toString()}`}
          fileName={`usage-${user || 'all'}-${startDate}-${endDate}.csv`}
        />
      </div>
      {stats.error && stats.data === undefined ? (
        <Trouble problem={stats.error} retry={() => void stats.refetch()} />
      ) : (
        <>
          <div class="stats four">
            <Figure
              label="Credits used"
              value={stats.data && credits(stats.data.totalCredits)}
              note={stats.data && partsOf(stats.data)}
            />
            <Figure label="Calls" value={stats.data && whole(stats.data.totalRecords)} note="records" />
            <Figure label="Models" value={stats.data && modelsOf(stats.data)} note="used in chats" />
            <Figure
              label="Per day"
              value={stats.data && credits(Math.round(stats.data.totalCredits / Math.max(1, days.length)))}
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
              <UsageTable reader={readerOf(user)} filters={filters} showUser={isShared} />
            )}
          </Card>
        </>
      )}
    </>
  );
}

type Statistics = Pick<
  UsageStats,
  | 'totalCredits'
  | 'collectedCredits'
  | 'uncollectedCredits'
  | 'recordedCredits'
  | 'totalRecords'
  | 'byService'
  | 'byUser'
  | 'byDay'
  | 'byModel'
  | 'byDayAndModel'
  | 'truncated'
>;

function filtersOf({ startDate, endDate }: Range, text: (name: string) => string): UsageFilters {
  const [service = '', operation = '', key = '', tag = '', memberId = '', unit = ''] = FILTERS.map(text);
  return {
    startDate,
    endDate,
    ...(service === '' ? {} : { service }),
    ...(operation === '' ? {} : { operation }),
    // The service refuses NaN, and anything else that is not an id.
    ...(key === '' ? {} : { apiKeyId: Number(key.replace(/^#/, '')) }),
    ...(tag === '' ? {} : { tag }),
    ...(memberId === '' ? {} : { memberId }),
    ...(unit === '' ? {} : { unitId: Number(unit) }),
  };
}

function adminFiltersOf(userId: string, text: (name: string) => string): AllUsageFilters {
  const [status, sessionId, requestId] = ADMIN_FILTERS.map(text) as [string, string, string];
  return {
    ...(userId === '' ? {} : { userId }),
    ...(status === '' ? {} : { billingStatus: status as UsageRecord['billingStatus'] }),
    ...(sessionId === '' ? {} : { sessionId }),
    ...(requestId === '' ? {} : { requestId }),
  };
}

/** Where the filters follow. */
function addressOf(isAll: boolean, user: string): string {
  if (isAll) return '/api/usage/records/all?';
  const id = encodeURIComponent(user);
  return user === session.value?.userId || isOrganisation(user)
    ? `/api/usage/records?accountId=${id}&`
    : `/api/usage/records/user/${id}?`;
}

interface OrganisationFiltersProps {
  accountId: string;
  members: string[];
  text: (name: string) => string;
}

function OrganisationFilters({ accountId, members, text }: OrganisationFiltersProps) {
  const { setSearch } = useSearch();
  const unit = text('unit');
  const units = choicesOf(useNames(accountId), 'unit');
  const isDeleted = unit !== '' && !units.some(([id]) => id === unit);
  return (
    <>
      <FilterField label="Member" name="member" value={text('member')} options={members} />
      <Select
        label="Unit"
        value={unit}
        options={[['', 'all'], ...units, ...(isDeleted ? [[unit, `#${unit}`] as const] : [])]}
        onChange={(next) => setSearch({ unit: next })}
        isInline
      />
    </>
  );
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
      <FilterField label="Session" name="session" value={text('session')} options={[]} />
      <FilterField label="Request" name="request" value={text('request')} options={[]} />
    </>
  );
}

export function FilterField({
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
function namesOf(stats: Statistics | undefined, map: 'byService' | 'byModel' | 'byUser'): string[] {
  return Object.keys(stats?.[map] ?? {}).filter(
    (name) => !isRest(name, stats?.truncated.includes(map) ?? false),
  );
}

/** What the credits are made of, where that is more than what was collected. */
export const partsOf = (
  stats: Pick<UsageStats, 'collectedCredits' | 'uncollectedCredits' | 'recordedCredits'>,
) =>
  (
    [
      ['collected', stats.collectedCredits],
      ['uncollected', stats.uncollectedCredits],
      ['only recorded', stats.recordedCredits],
    ] as const
  )
    .filter(([name, value]) => name === 'collected' || value > 0)
    .map(([name, value]) => `${credits(value)} ${name}`)
    .join(' · ');

function modelsOf(stats: Statistics): string {
  return `${whole(namesOf(stats, 'byModel').length)}${stats.truncated.includes('byModel') ? '+' : ''}`;
}
