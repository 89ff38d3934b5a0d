import type { UsageSource } from '../api/accounts';
import type { UsageRecord } from '../api/client';
import { usePages } from '../api/hooks';
import { seesProviderCost } from '../api/development';
import { Table } from '../components/table';
import { AccountLink, Badge, CountNote, Credits, Moment, type Tone } from '../components/ui';
import { price, usdOfCall, whole } from '../format';
import { useSearch } from '../navigation';

const TONES: Record<UsageRecord['billingStatus'], Tone> = {
  billed: 'good',
  recorded: 'neutral',
  needs_review: 'bad',
  waived: 'warn',
};

export const MEANINGS: Record<UsageRecord['billingStatus'], string> = {
  billed: 'Paid with credits of the account',
  recorded: 'Settled elsewhere: counted in the statistics, no credits deducted',
  needs_review: 'The balance did not cover the call: an admin has to bill or waive the rest',
  waived: 'Reviewed: the uncollected credits were waived',
};

export const BillingBadge = ({ status }: { status: UsageRecord['billingStatus'] }) => (
  <span title={MEANINGS[status]}>
    <Badge tone={TONES[status]}>{status.replace('_', ' ')}</Badge>
  </span>
);

export const RECORDS_HINT =
  'Billed: paid with credits. Recorded: settled elsewhere, shown for statistics only.';

/** The model of a chat, or the operation of another service. */
export const OPERATION = 'Model or operation';

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
  const { search, setSearch } = useSearch();
  const open = (record: UsageRecord) => setSearch({ record: String(record.id) });
  return (
    <>
      <Table
        {...pages}
        caption="Usage records, newest first"
        keyOf={(record) => record.id}
        onOpen={open}
        rowClass={(record) => (search.record === String(record.id) ? 'open' : '')}
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
                onClick={() => open(record)}
                aria-label={`Details of record ${record.id}: ${record.operation}`}
              >
                {record.operation}
              </button>
            ),
          },
          { header: 'Service', cell: (record) => <span class="clip">{record.service}</span>, isWide: true },
          { header: 'Tokens', cell: (record) => tokensOf(record), isNumber: true, isWide: true },
          { header: 'Credits', cell: (record) => <Credits value={record.credits} />, isNumber: true },
          ...(seesProviderCost()
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

export const costOf = ({ providerCostUsd, providerCostSource }: UsageRecord) =>
  providerCostUsd === null ? 'unknown' : `$${price(providerCostUsd)} (${providerCostSource})`;
