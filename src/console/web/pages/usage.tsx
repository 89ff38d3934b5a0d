import { useEffect, useState } from 'preact/hooks';
import { readerOf } from '../api/accounts';
import { send } from '../api/client';
import { useAction, useQuery } from '../api/hooks';
import { problemOf } from '../api/problem';
import { isSupervisor, session } from '../api/session';
import { TimeChart } from '../components/chart';
import { currentRange, RangePicker } from '../components/range';
import { toast } from '../components/toasts';
import { Button, Card, PageHeader, Stat, Trouble } from '../components/ui';
import { UserPicker } from '../components/user-picker';
import { compact, day, daysBetween, whole } from '../format';
import { search, setSearch } from '../router';
import { UsageTable } from './usage-table';

export function Usage() {
  const self = session.value?.userId ?? '';
  const user = search.value.get('user') ?? self;
  const reader = readerOf(user);
  const { startDate, endDate } = currentRange();
  const service = search.value.get('service') ?? '';
  const operation = search.value.get('operation') ?? '';
  const filters = {
    startDate,
    endDate,
    ...(service === '' ? {} : { service }),
    ...(operation === '' ? {} : { operation }),
  };
  const stats = useQuery(`stats ${user} ${startDate} ${endDate}`, (signal) =>
    reader.stats({ startDate, endDate }, signal),
  );
  const days = daysBetween(startDate, endDate);
  const download = useAction(async () => {
    const path = reader.isSelf ? '/api/usage/records' : `/api/usage/records/${encodeURIComponent(user)}`;
    const query = new URLSearchParams(filters).toString();
    const response = await send(
      new Request(`${location.origin}${path}?${query}`, { headers: { Accept: 'text/csv' } }),
    );
    if (!response.ok)
      throw problemOf(response.status, await response.json().catch(() => null), response.headers);
    save(await response.blob(), `usage-${user}-${startDate}-${endDate}.csv`);
    toast('The CSV is in your downloads', 'good');
  });
  return (
    <>
      <PageHeader title="Usage" sub={`Calls of ${user}, days in UTC`}>
        <RangePicker />
      </PageHeader>
      <div class="filters">
        {isSupervisor.value && (
          <UserPicker
            key={user}
            value={user}
            onChange={(userId) => setSearch({ user: userId === self ? null : userId })}
          />
        )}
        <FilterField
          label="Service"
          name="service"
          value={service}
          options={Object.keys(stats.data?.byService ?? {})}
        />
        <FilterField
          label="Operation"
          name="operation"
          value={operation}
          options={Object.keys(stats.data?.byModel ?? {})}
        />
        <Button icon="download" isBusy={download.isBusy} onClick={() => void download.run()}>
          CSV
        </Button>
      </div>
      {download.problem && (
        <p class="note bad" role="alert">
          {download.problem.message}
        </p>
      )}
      {stats.problem && stats.data === undefined ? (
        <Trouble problem={stats.problem} retry={stats.refresh} />
      ) : (
        <>
          <div class="stats four">
            <Stat
              label="Credits"
              value={stats.data && compact(stats.data.totalCredits)}
              note="in these days, all services"
            />
            <Stat label="Calls" value={stats.data && whole(stats.data.totalRecords)} note="records" />
            <Stat
              label="Models"
              value={stats.data && whole(Object.keys(stats.data.byModel).length)}
              note="used in chats"
            />
            <Stat
              label="Per day"
              value={stats.data && compact(Math.round(stats.data.totalCredits / Math.max(1, days.length)))}
              note="credits on average"
            />
          </div>
          <Card title="Credits by day">
            <TimeChart
              title="Credits by day"
              labels={days.map(day)}
              series={[
                {
                  label: 'Credits',
                  color: 'chart-1',
                  values: days.map((name) => stats.data?.byDay[name] ?? 0),
                },
              ]}
            />
          </Card>
          <Card title="Records">
            <UsageTable reader={reader} filters={filters} />
          </Card>
        </>
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

function save(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
