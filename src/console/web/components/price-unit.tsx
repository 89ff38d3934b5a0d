import { signal } from '@preact/signals';
import { price } from '../format';
import { Segmented } from './ui';

export type PriceUnit = 'thousand' | 'million';

/** How prices of tokens are shown; the API has them per 1,000. */
export const priceUnit = signal<PriceUnit>('thousand');
export const PER: Record<PriceUnit, string> = { thousand: '1,000 tokens', million: 'million tokens' };

export function PriceUnitSwitch() {
  return (
    <Segmented
      label="Prices per"
      value={priceUnit.value}
      options={[
        ['thousand', 'per 1,000'],
        ['million', 'per million'],
      ]}
      onChange={(unit) => (priceUnit.value = unit)}
    />
  );
}

/** Moves the decimal point of a number as text, exactly: `shifted('0.0025', 3)` is `2.5`. */
export function shifted(value: string, places: number): string {
  const [whole = '', fraction = ''] = value.split('.');
  const digits =
    (places < 0 ? whole.padStart(1 - places, '0') : whole) + fraction.padEnd(Math.max(places, 0), '0');
  const point = places < 0 ? digits.length - fraction.length + places : whole.length + places;
  const text = `${digits.slice(0, point).replace(/^0+(?=\d)/, '')}.${digits.slice(point)}`;
  return text.replace(/0+$/, '').replace(/\.$/, '');
}

const PLACES: Record<PriceUnit, number> = { thousand: 0, million: 3 };
/** A price per 1,000 tokens in the unit that is shown, and back. */
export const shownPrice = (value: string, unit = priceUnit.value) => shifted(value, PLACES[unit]);
export const storedPrice = (value: string, unit = priceUnit.value) => shifted(value, -PLACES[unit]);

const MOST_DECIMALS = 6;
/** A price in a column of prices, of which each has its decimal point at the same place. */
export function AlignedPrice({ value, prefix = '' }: { value: string | null | undefined; prefix?: string }) {
  if (value === null || value === undefined) return <>–</>;
  const [whole = '', fraction = ''] = shownPrice(price(value) ?? '0').split('.');
  return (
    <span class="aligned">
      {prefix}
      {whole}
      <span class="fraction">{fraction === '' ? '' : `.${fraction.slice(0, MOST_DECIMALS)}`}</span>
    </span>
  );
}
