import { keepPreviousData, useQuery } from '@tanstack/preact-query';
import { useEffect, useState } from 'preact/hooks';
import { answer, api, type Schemas } from '../api/client';
import { AccountLink } from '../components/ui';
import { day, plural, usd, whole } from '../format';

type Rule = Schemas['CreatePricingRuleDto'];
type Effect = Schemas['PriceEffectDto'];

/** A pause in typing, after which the service prices the calls again. */
const PAUSE = 400;

const ROWS: [
  label: string,
  textOf: (effect: Effect) => string,
  valueOf: (effect: Effect) => number | null,
][] = [
  ['Credits', ({ credits }) => whole(credits), ({ credits }) => credits],
  ['Income', ({ incomeUsd }) => usd(incomeUsd), ({ incomeUsd }) => Number(incomeUsd)],
  [
    'Provider cost',
    ({ providerCostUsd }) => usd(providerCostUsd),
    ({ providerCostUsd }) => number(providerCostUsd),
  ],
  ['Margin', ({ marginUsd }) => usd(marginUsd), ({ marginUsd }) => number(marginUsd)],
];
const number = (value: string | null) => (value === null ? null : Number(value));

/** What a rule would have changed in the last 30 days, before it is saved. */
export function PriceEffect({ rule }: { rule: Rule }) {
  const wanted = JSON.stringify(rule);
  const [asked, setAsked] = useState(wanted);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(wanted), PAUSE);
    return () => clearTimeout(timer);
  }, [wanted]);
  const preview = useQuery({
    queryKey: ['price preview', asked],
    queryFn: ({ signal }) =>
      answer(api.POST('/api/pricing/preview', { body: JSON.parse(asked) as Rule, signal })),
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: false,
    retry: false,
  });
  return (
    <section
      class="preview"
      aria-live="polite"
      aria-label="Last 30 days at this price"
      aria-busy={preview.isFetching}
    >
      <h3>Last 30 days at this price</h3>
      {preview.data !== undefined ? (
        <Comparison {...preview.data} />
      ) : (
        <p class="hint">{preview.error ? preview.error.message : 'Pricing the calls again…'}</p>
      )}
    </section>
  );
}

function Comparison({ records, since, charged, repriced, accounts }: Schemas['PricePreviewDto']) {
  if (records === 0) return <p class="hint">No calls in the last 30 days would have this price.</p>;
  return (
    <>
      <table>
        <thead>
          <tr>
            <th scope="col">{plural(records, 'call')}</th>
            <th scope="col" class="numeric">
              Charged
            </th>
            <th scope="col" class="numeric">
              At this price
            </th>
            <th scope="col" class="numeric">
              Change
            </th>
          </tr>
        </thead>
        <tbody>
          {ROWS.map(([label, textOf, valueOf]) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td class="numeric">{textOf(charged)}</td>
              <td class="numeric">{textOf(repriced)}</td>
              <td class="numeric">{change(valueOf(charged), valueOf(repriced))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {since !== null && (
        <p class="hint">
          Only the newest {whole(records)} calls are counted, from {day(since)} on.
        </p>
      )}
      {accounts.length > 0 && (
        <>
          <h3>Most affected accounts</h3>
          <table>
            <tbody>
              {accounts.map(({ accountId, credits, repricedCredits }) => (
                <tr key={accountId}>
                  <th scope="row">
                    <AccountLink accountId={accountId} />
                  </th>
                  <td class="numeric">{whole(credits)}</td>
                  <td class="numeric">{whole(repricedCredits)}</td>
                  <td class="numeric">{change(credits, repricedCredits)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </>
  );
}

function change(before: number | null, after: number | null): string {
  if (before === null || after === null || before === 0) return '–';
  const share = ((after - before) / Math.abs(before)) * 100;
  return `${share >= 0 ? '+' : '−'}${Math.abs(share).toFixed(1)} %`;
}
