import { signal } from '@preact/signals';
import { price, shifted } from '../format';
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
