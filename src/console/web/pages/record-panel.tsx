import { useQuery } from '@tanstack/preact-query';
import { answer, api, type Schemas } from '../api/client';
import { seesProviderCost } from '../api/development';
import { amountInWords, capital, scopeInWords } from '../api/limits';
import { useNames } from '../api/names';
import { Panel } from '../components/dialog';
import { type Fact, Facts } from '../components/facts';
import { Table } from '../components/table';
import { AccountLink, Skeleton, Trouble } from '../components/ui';
import { day, plural, price, time, usdOfCall, whole } from '../format';
import { pathTo, useSearch } from '../navigation';
import { BillingBadge, costOf, MEANINGS, OPERATION } from './usage-table';

type Details = Schemas['UsageRecordDetailsDto'];
type ClassAmount = Schemas['ClassAmountDto'];

/** Where the counts of a call come from. */
const COUNTS = {
  provider: 'reported by the provider',
  drained: 'reported by the provider after the client had left',
  estimated: 'estimated from what was seen',
};
const SOURCES: Record<string, string> = { rule: 'Rule', default: 'Built-in rule', fallback: 'Fallback rule' };
const ENDS = { finalized: 'Finalized', aborted: 'Aborted', timeout: 'Timed out' };
const DECISIONS = { bill: 'Billed', waive: 'Waived' };

/** Explains the record that the address names, beside any page. */
export function RecordPanel() {
  const { search, setSearch } = useSearch();
  const id = search.record ?? '';
  return id === '' ? null : <Explained id={id} onClose={() => setSearch({ record: null })} />;
}

function Explained({ id, onClose }: { id: string; onClose: () => void }) {
  const details = useQuery({
    queryKey: ['record', id],
    // The service refuses NaN.
    queryFn: ({ signal }) =>
      answer(api.GET('/api/usage/records/{id}', { params: { path: { id: Number(id) } }, signal })),
  });
  return (
    <Panel title={`Usage record ${id}`} onClose={onClose}>
      {details.data !== undefined ? (
        <Explanation record={details.data} />
      ) : details.error ? (
        <Trouble problem={details.error} retry={() => void details.refetch()} />
      ) : (
        <Skeleton rows={8} />
      )}
    </Panel>
  );
}

function Explanation({ record }: { record: Details }) {
  const facts: Fact[] = [
    ['User', record.userId],
    ['When', time(record.timestamp)],
    ['Service', record.service],
    [OPERATION, record.operation],
    ['Counts', record.usageSource && COUNTS[record.usageSource]],
    ['Service tier', record.serviceTier === 'standard' ? null : record.serviceTier],
    ['Provider cost', seesProviderCost() ? costOf(record) : null],
    ['Session', record.sessionId],
    ['Request', record.requestId],
    ['Unit', record.unitId === null ? null : `#${record.unitId}`],
    ['API key', record.apiKeyId === null ? null : `#${record.apiKeyId}`],
    [
      'Tags',
      record.tags &&
        Object.entries(record.tags)
          .map((tag) => tag.join('='))
          .join(', '),
    ],
  ];
  return (
    <>
      <p>
        <BillingBadge status={record.billingStatus} />{' '}
        <span class="hint">{MEANINGS[record.billingStatus]}</span>
      </p>
      <Facts facts={facts} />
      <Price record={record} />
      <Payment record={record} />
      <Budgets record={record} />
      <Life record={record} />
      {Object.keys(record.metadata).length > 0 && (
        <section>
          <h3>Metadata</h3>
          <pre tabIndex={0}>{JSON.stringify(record.metadata, null, 2)}</pre>
        </section>
      )}
    </>
  );
}

/** Quantity × price by class, their sum, and the one rounding. */
function Price({ record }: { record: Details }) {
  const { classes, exactCredits, pricingNotes, pricedAs, pricingSource, pricingRuleId, credits } = record;
  if (classes === null || exactCredits === null)
    return (
      <section>
        <h3>Price</h3>
        <p>
          {plural(credits, 'credit')}, as the caller{' '}
          {record.billingStatus === 'recorded' ? 'recorded' : 'charged'} it: no price rule was used.
        </p>
      </section>
    );
  const rounded = Math.ceil(Number(exactCredits));
  return (
    <section>
      <h3>Price by class</h3>
      <Table
        caption="What each class of the call cost"
        rows={classes}
        keyOf={(row) => row.class}
        empty=""
        columns={[
          {
            header: 'Class',
            cell: (row) => (
              <>
                {row.class.replaceAll('_', ' ')}
                {pricingNotes.includes(row.class) && (
                  <span class="hint under">
                    {row.pricedAs ? `at the price of ${row.pricedAs.replaceAll('_', ' ')}` : 'no price: free'}
                  </span>
                )}
              </>
            ),
          },
          { header: 'Quantity', cell: (row) => whole(row.quantity), isNumber: true },
          { header: '× Credits each', cell: (row) => price(row.price) ?? '–', isNumber: true },
          { header: '= Credits', cell: (row) => price(row.credits) ?? '0', isNumber: true },
          ...(seesProviderCost()
            ? [
                {
                  header: 'Cost in USD',
                  cell: (row: ClassAmount) =>
                    row.providerCostUsd === null ? '–' : usdOfCall(row.providerCostUsd),
                  isNumber: true,
                },
              ]
            : []),
        ]}
      />
      <p>
        Sum {price(exactCredits)}, rounded up once: <strong>{plural(rounded, 'credit')}</strong>.
        {rounded !== credits && ` A review changed what was billed to ${plural(credits, 'credit')}.`}
      </p>
      {pricedAs !== null && (
        <p class="hint">
          <a href={pathTo('prices', pricedAs)}>
            {SOURCES[pricingSource ?? ''] ?? 'Rule'} #{pricingRuleId} of {pricedAs}
          </a>
        </p>
      )}
    </section>
  );
}

/** Who paid, out of which lots. */
function Payment({ record }: { record: Details }) {
  const { accountId, entries, hasAllEntries, uncollectedCredits, billingStatus } = record;
  const lots = new Map<number, number>();
  for (const { allocationId, credits } of entries)
    if (allocationId !== null) lots.set(allocationId, (lots.get(allocationId) ?? 0) - credits);
  const paid = [...lots].filter(([, credits]) => credits !== 0);
  return (
    <section>
      <h3>Paid by</h3>
      <p>
        Account <AccountLink accountId={accountId} />
      </p>
      <ul class="plain-list">
        {paid.map(([lot, credits]) => (
          <li key={lot}>
            {plural(credits, 'credit')} from allocation #{lot}
          </li>
        ))}
        {uncollectedCredits > 0 && (
          <li class="bad-text">
            {plural(uncollectedCredits, 'credit')} uncollected{billingStatus === 'waived' ? ', waived' : ''}
          </li>
        )}
        {paid.length === 0 && uncollectedCredits === 0 && <li>No credits were taken.</li>}
      </ul>
      {!hasAllEntries && (
        <p class="hint">
          There may be more ledger entries: the newest 200 of those nearest to the call are shown.
        </p>
      )}
    </section>
  );
}

function Budgets({ record: { accountId, budgets } }: { record: Details }) {
  const names = useNames(accountId);
  if (budgets.length === 0) return null;
  return (
    <section>
      <h3>Counted in</h3>
      <ul class="plain-list">
        {budgets.map(({ id, unit, window, mode, amount, startsAt, endsAt, ...scope }) => (
          <li key={id}>
            {capital(scopeInWords(scope, names))}:{' '}
            {amount === null
              ? 'no limit'
              : `${amountInWords(amount, unit, window)}${mode === 'soft' ? ' (soft)' : ''}`}
            {startsAt !== null && endsAt !== null && (
              <span class="hint">
                {' '}
                period from {day(startsAt)} to {day(endsAt)}
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

interface Step {
  at: string | null;
  text: string;
}

/** What happened, in the order of time. */
function stepsOf({ session, entries, credits, reviewAction, reviewedAt, reviewedBy }: Details): Step[] {
  const at = (kinds: string[]) => {
    const sums = new Map<string, number>();
    for (const entry of entries)
      if (kinds.includes(entry.kind))
        sums.set(entry.createdAt, (sums.get(entry.createdAt) ?? 0) + Math.abs(entry.credits));
    return [...sums];
  };
  const holds = at(['hold']).filter(([when]) => when !== session?.startedAt);
  const steps: Step[] = [];
  if (session !== null) {
    const { startedAt, firstHold, estimatedCredits, tokensGenerated, endReason, isLate, completedAt } =
      session;
    steps.push({
      at: startedAt,
      text: `Held ${plural(firstHold, 'credit')}: an estimate of ${whole(estimatedCredits)} with the buffer`,
    });
    steps.push(
      ...holds.map(([when, sum]) => ({ at: when, text: `The hold grew by ${plural(sum, 'credit')}` })),
    );
    if (tokensGenerated > 0)
      steps.push({ at: null, text: `${plural(tokensGenerated, 'token')} reported while it ran` });
    if (completedAt !== null && endReason !== null)
      steps.push({
        at: completedAt,
        text: `${ENDS[endReason]}${isLate ? ', late' : ''}: cost ${plural(credits, 'credit')}`,
      });
  }
  steps.push(
    ...at(['refund']).map(([when, sum]) => ({
      at: when,
      text: `${plural(sum, 'credit')} returned to the allocations`,
    })),
    ...at(['charge']).map(([when, sum]) => ({
      at: when,
      text: `${plural(sum, 'credit')} ${session === null ? 'taken' : 'taken above the hold'}`,
    })),
  );
  if (reviewAction !== null && reviewedAt !== null)
    steps.push({ at: reviewedAt, text: `${DECISIONS[reviewAction]} in a review by ${reviewedBy}` });
  // What has no time of its own stays where it is: after the steps before it.
  let last = 0;
  return steps
    .map((step) => ({ step, order: (last = step.at === null ? last : Date.parse(step.at)) }))
    .sort((a, b) => a.order - b.order)
    .map(({ step }) => step);
}

function Life({ record }: { record: Details }) {
  const steps = stepsOf(record);
  if (steps.length === 0) return null;
  return (
    <section>
      <h3>{record.session === null ? 'Time line' : 'Life of the session'}</h3>
      <ol class="steps" aria-label="Time line">
        {steps.map(({ at, text }, index) => (
          <li key={index}>
            <span class="hint">{at === null ? '' : <time dateTime={at}>{time(at)}</time>}</span>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
