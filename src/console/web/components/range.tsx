import { useState } from 'preact/hooks';
import { isoDay } from '../format';
import { useSearch } from '../navigation';
import type { Range } from '../api/accounts';
import { Segmented } from './ui';

const DAY = 86_400_000;
const PRESETS = [
  ['7', '7 days'],
  ['30', '30 days'],
  ['90', '90 days'],
  ['custom', 'Custom'],
] as const;
const YESTERDAY = ['yesterday', 'Yesterday'] as const;

/** The period in the address, in days of UTC. */
export function useRange(fallbackDays = 30): Range & { days: string } {
  const { search } = useSearch();
  const { from, to } = search;
  // Two days in an address are a period, also where it does not say so.
  const days = search.days ?? (isDay(from) && isDay(to) ? 'custom' : String(fallbackDays));
  const today = isoDay(Date.now());
  if (days === 'custom' && isDay(from) && isDay(to)) return { startDate: from, endDate: to, days };
  const yesterday = isoDay(Date.now() - DAY);
  if (days === 'yesterday') return { startDate: yesterday, endDate: yesterday, days };
  const count = Number(days) > 0 && Number(days) <= 366 ? Number(days) : fallbackDays;
  return { startDate: isoDay(Date.now() - (count - 1) * DAY), endDate: today, days: String(count) };
}

/** A day that the service accepts; while a year is typed, its first digits are a year too. */
const isDay = (text: string | undefined): text is string =>
  text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) && Date.parse(text) >= 0;

export function previousOf({ startDate, endDate }: Range): Range {
  const [start, end] = [Date.parse(startDate), Date.parse(endDate)];
  return { startDate: isoDay(start - (end - start) - DAY), endDate: isoDay(start - DAY) };
}

export function RangePicker({ hasYesterday = false }: { hasYesterday?: boolean }) {
  const range = useRange();
  const { setSearch } = useSearch();
  const set = (days: string) =>
    setSearch(
      days === 'custom' ? { days, from: range.startDate, to: range.endDate } : { days, from: null, to: null },
    );
  return (
    <div class="range">
      <Segmented
        label="Period"
        value={range.days}
        options={hasYesterday ? [YESTERDAY, ...PRESETS] : PRESETS}
        onChange={set}
      />
      {range.days === 'custom' && (
        <span class="range-days">
          <DayField
            label="Start date (UTC)"
            value={range.startDate}
            max={range.endDate}
            onChange={(from) => setSearch({ from })}
          />
          <span aria-hidden="true">–</span>
          <DayField
            label="End date (UTC)"
            value={range.endDate}
            min={range.startDate}
            max={isoDay(Date.now())}
            onChange={(to) => setSearch({ to })}
          />
        </span>
      )}
    </div>
  );
}

interface DayFieldProps {
  label: string;
  value: string;
  min?: string;
  max: string;
  onChange: (day: string) => void;
}

/** What is typed stays in the field until it is a day; leaving the field undoes what is none. */
function DayField({ label, value, min, max, onChange }: DayFieldProps) {
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <input
      type="date"
      aria-label={label}
      value={typed ?? value}
      min={min}
      max={max}
      onChange={({ currentTarget }) => {
        setTyped(currentTarget.value);
        if (isDay(currentTarget.value)) onChange(currentTarget.value);
      }}
      onBlur={() => setTyped(null)}
    />
  );
}
