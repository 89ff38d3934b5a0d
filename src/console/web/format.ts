const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
const DATE = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
const TIME = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export const whole = (value: number) => WHOLE.format(value);
export const compact = (value: number) =>
  Math.abs(value) < 10_000 ? WHOLE.format(value) : COMPACT.format(value);
/** Exact, so that figures can be compared; shorter only where it would not fit. */
export const credits = (value: number) => (Math.abs(value) < 1e9 ? WHOLE : COMPACT).format(value);
export const signed = (value: number) =>
  value > 0 ? `+${WHOLE.format(value)}` : WHOLE.format(value).replace('-', '−');
export const day = (value: string) => DAY.format(new Date(value));
export const date = (value: string | number) => DATE.format(new Date(value));
export const time = (value: string | number) => TIME.format(new Date(value));
export const plural = (count: number, one: string, many = `${one}s`) =>
  `${whole(count)} ${count === 1 ? one : many}`;

/** An exact amount, shown to the cent: sums, and everything on cards. */
export const usd = (value: string | number | null, unknown = 'unknown') =>
  value === null ? unknown : money(value, 2);
/** The cost of one call, often a fraction of a cent: always to a hundredth of a cent, so that a column can be compared. */
export const usdOfCall = (value: string | null) => money(value, 4);

/** An amount that is not zero never looks like zero. */
function money(value: string | number | null, digits: number): string {
  if (value === null) return 'unknown';
  const format = new Intl.NumberFormat('en-US', {
    style: 'currency',
    currency: 'USD',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  const number = Number(value);
  const least = 10 ** -digits;
  const size = Math.abs(number);
  const isTiny = number !== 0 && size < least / 2;
  const text = isTiny ? `<${format.format(least)}` : format.format(size);
  return number < 0 ? `−${text}` : text;
}

/** A price as it is stored, without trailing zeros. */
export const price = (value: string | null | undefined) =>
  value === null || value === undefined ? null : value.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');

/** Moves the decimal point of a number as text, exactly: `shifted('0.0025', 3)` is `2.5`. */
export function shifted(value: string, places: number): string {
  const [whole = '', fraction = ''] = value.split('.');
  const digits =
    (places < 0 ? whole.padStart(1 - places, '0') : whole) + fraction.padEnd(Math.max(places, 0), '0');
  const point = places < 0 ? digits.length - fraction.length + places : whole.length + places;
  const text = `${digits.slice(0, point).replace(/^0+(?=\d)/, '')}.${digits.slice(point)}`;
  return text.replace(/0+$/, '').replace(/\.$/, '');
}

const STEPS: [seconds: number, unit: Intl.RelativeTimeFormatUnit][] = [
  [3600, 'hour'],
  [60, 'minute'],
];

export function relative(value: string | number, now = Date.now()): string {
  const seconds = (new Date(value).getTime() - now) / 1000;
  // "Tomorrow" is the next day of the calendar, not one that begins in a day and a half.
  if (Math.abs(seconds) >= 86_400)
    return RELATIVE.format(calendarDays(new Date(value), new Date(now)), 'day');
  for (const [size, unit] of STEPS) {
    if (Math.abs(seconds) >= size) return RELATIVE.format(Math.round(seconds / size), unit);
  }
  return Math.abs(seconds) < 5 ? 'now' : RELATIVE.format(Math.round(seconds), 'second');
}

function calendarDays(to: Date, from: Date): number {
  const midnight = (time: Date) => Date.UTC(time.getFullYear(), time.getMonth(), time.getDate());
  return (midnight(to) - midnight(from)) / MILLISECONDS_PER_DAY;
}

export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export const percent = (part: number, of: number) =>
  of === 0 ? '–' : `${((part / of) * 100).toFixed(1).replace('-', '−')} %`;

const MILLISECONDS_PER_DAY = 86_400_000;
export const isoDay = (time: number) => new Date(time).toISOString().slice(0, 10);

/** Each day of a range, those without usage included. */
export function daysBetween(start: string, end: string): string[] {
  const days: string[] = [];
  for (let time = Date.parse(start); time <= Date.parse(end); time += MILLISECONDS_PER_DAY)
    days.push(isoDay(time));
  return days;
}
