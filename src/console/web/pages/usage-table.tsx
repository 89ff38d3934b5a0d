import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import type { UsageSource } from '../api/accounts';
import { answer, api, type Schemas, type UsageRecord } from '../api/client';
import { usePages } from '../api/hooks';
import { isAdmin } from '../api/session';
import { Dialog } from '../components/dialog';
import { type Fact, Facts } from '../components/facts';
import { Table } from '../components/table';
import { AccountLink, Badge, CountNote, Credits, Moment, type Tone } from '../components/ui';
import { price, time, usdOfCall, whole } from '../format';

type ClassAmount = Schemas['ClassAmountDto'];

const TONES: Record<UsageRecord['billingStatus'], Tone> = {
  billed: 'good',
  recorded: 'neutral',
  needs_review: 'bad',
  waived: 'warn',
};

const MEANINGS: Record<UsageRecord['billingStatus'], string> = {
  billed: 'Paid with credits of the account',
  recorded: 'Settled elsewhere: counted in the statistics, no credits deducted',
  needs_review: 'The balance did not cover the call: an admin has to bill or waive the rest',
  waived: 'Reviewed: the uncollected credits were waived',
};

const DECISIONS = { bill: 'billed', waive: 'waived' };

export const BillingBadge = ({ status }: { status: UsageRecord['billingStatus'] }) => (
  <span title={MEANINGS[status]}>
    <Badge tone={TONES[status]}>{status.replace('_', ' ')}</Badge>
  </span>
);

export const RECORDS_HINT =
  'Billed: paid with credits. Recorded: settled elsewhere, shown for statistics only.';

/** The model of a chat, or the operation of another service. */
export const OPERATION = 'Model or operation';

/** Where the counts of a call come from. */
const COUNTS = {
  provider: 'reported by the provider',
  drained: 'reported by the provider after the client had left',
  estimated: 'estimated from what was seen',
};

export function UsageTable<Filters>({
  reader,
  filters,
  showUser = false,
}: {
  reader: UsageSource<Filters>;
  filters: Filters;
  showUser?: boolean;
}) {
  const pages = usePages(['usage', reader.accountId, filters], (cursor, signal) =>
    reader.usage(filters, cursor, signal),
  );
  const [shown, setShown] = useState<UsageRecord | null>(null);
  return (
    <>
      <Table
        {...pages}
        caption="Usage records, newest first"
        keyOf={(record) => record.id}
        empty="No matching usage"
        columns={[
          { header: 'When', cell: (record) => <Moment at={record.timestamp} exact /> },
          ...(showUser
            ? [{ header: 'User', cell: (record: UsageRecord) => <AccountLink accountId={record.userId} /> }]
            : []),
          {
            header: OPERATION,
            cell: (record) => (
              <button
                type="button"
                class="link clip"
                onClick={() => setShown(record)}
                aria-label={`Details of record ${record.id}: ${record.operation}`}
              >
                {record.operation}
              </button>
            ),
          },
          { header: 'Service', cell: (record) => <span class="clip">{record.service}</span>, isWide: true },
          { header: 'Tokens', cell: (record) => tokensOf(record), isNumber: true, isWide: true },
          { header: 'Credits', cell: (record) => <Credits value={record.credits} />, isNumber: true },
          ...(isAdmin.value
            ? [
                {
                  header: 'Provider cost',
                  cell: ({ providerCostUsd }: UsageRecord) =>
                    providerCostUsd === null ? '–' : usdOfCall(providerCostUsd),
                  isNumber: true,
                  isWide: true,
                },
              ]
            : []),
          { header: 'Status', cell: (record) => <BillingBadge status={record.billingStatus} /> },
        ]}
      />
      <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="record" />
      {shown && <RecordDetail record={shown} onClose={() => setShown(null)} />}
    </>
  );
}

export function tokensOf({ metadata }: UsageRecord): string {
  const facts = metadata as Record<string, unknown>;
  const known = ['tokens', 'partialTokens']
    .map((name) => facts[name])
    .find((value) => typeof value === 'number');
  if (typeof known === 'number') return whole(known);
  const classes = ['inputTokens', 'outputTokens', 'cachedInputTokens']
    .map((name) => facts[name])
    .filter((value) => typeof value === 'number');
  return classes.length === 0 ? '–' : whole(classes.reduce((sum, value) => sum + value, 0));
}

const costOf = ({ providerCostUsd, providerCostSource }: UsageRecord) =>
  providerCostUsd === null ? 'unknown' : `$${price(providerCostUsd)} (${providerCostSource})`;

/** What each class of the call cost, and how that became its price. */
function ClassAmounts({ record: { id, version } }: { record: UsageRecord }) {
  const details = useQuery({
    queryKey: ['record', id, version],
    queryFn: ({ signal }) => answer(api.GET('/api/usage/records/{id}', { params: { path: { id } }, signal })),
  });
  const { classes, exactCredits, pricingNotes } = details.data ?? {};
  if (!classes?.length) return null;
  return (
    <>
      <h3>Price by class</h3>
      <Table
        caption="What each class of the call cost"
        rows={classes}
        keyOf={(row) => row.class}
        empty=""
        columns={[
          {
            header: 'Class',
            cell: (row) =>
              row.class.replaceAll('_', ' ') +
              (pricingNotes?.includes(row.class)
                ? ` (${row.pricedAs ? `at the price of ${row.pricedAs.replaceAll('_', ' ')}` : 'no price'})`
                : ''),
          },
          { header: 'Quantity', cell: (row) => whole(row.quantity), isNumber: true },
          { header: 'Credits each', cell: (row) => price(row.price) ?? '–', isNumber: true },
          { header: 'Credits', cell: (row) => price(row.credits) ?? '0', isNumber: true },
          ...(isAdmin.value
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
      <p class="hint">
        Exact sum: {price(exactCredits)} credits. A call is rounded up once, to whole credits.
      </p>
    </>
  );
}

export function RecordDetail({ record, onClose }: { record: UsageRecord; onClose: () => void }) {
  const facts: Fact[] = [
    ['User', record.userId],
    ['Paid by', record.accountId === record.userId ? null : record.accountId],
    ['When', time(record.timestamp)],
    ['Service', record.service],
    [OPERATION, record.operation],
    ['Credits', whole(record.credits)],
    ['Uncollected', record.uncollectedCredits === 0 ? null : whole(record.uncollectedCredits)],
    ['Provider cost', isAdmin.value ? costOf(record) : null],
    [
      'Price source',
      record.pricingSource === 'rule' ? `rule #${record.pricingRuleId}` : record.pricingSource,
    ],
    ['Counts', record.usageSource && COUNTS[record.usageSource]],
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
    [
      'Review',
      record.reviewAction === null ? null : `${DECISIONS[record.reviewAction]} by ${record.reviewedBy}`,
    ],
  ];
  return (
    <Dialog title={`Usage record ${record.id}`} onClose={onClose}>
      <div class="dialog-body">
        <p>
          <BillingBadge status={record.billingStatus} />{' '}
          <span class="hint">{MEANINGS[record.billingStatus]}</span>
        </p>
        <Facts facts={facts} />
        <ClassAmounts record={record} />
        {Object.keys(record.metadata).length > 0 && (
          <>
            <h3>Metadata</h3>
            <pre tabIndex={0}>{JSON.stringify(record.metadata, null, 2)}</pre>
          </>
        )}
      </div>
    </Dialog>
  );
}
