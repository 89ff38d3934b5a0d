import type { AccountReader } from '../api/accounts';
import type { LedgerEntry } from '../api/client';
import { type Pages, usePages } from '../api/hooks';
import { DownloadCsv } from '../components/download-csv';
import { Table } from '../components/table';
import { Badge, CountNote, Credits, Moment, type Tone } from '../components/ui';
import { whole } from '../format';
import { useSearch } from '../navigation';

const TONES: Record<LedgerEntry['kind'], Tone> = {
  allocation: 'good',
  refund: 'good',
  hold: 'neutral',
  charge: 'accent',
  deduction: 'warn',
  revocation: 'bad',
  expiry: 'warn',
  correction: 'bad',
};

export const useLedger = (reader: AccountReader): Pages<LedgerEntry> =>
  usePages(['ledger', reader.accountId], (cursor, signal) => reader.ledger(cursor, signal));

export function Ledger({ pages, address }: { pages: Pages<LedgerEntry>; address: string }) {
  const { setSearch } = useSearch();
  return (
    <>
      <Table
        {...pages}
        caption="Ledger, newest first"
        keyOf={(entry) => entry.id}
        empty="No ledger entries yet"
        columns={[
          { header: 'When', cell: (entry) => <Moment at={entry.createdAt} exact /> },
          { header: 'Kind', cell: (entry) => <Badge tone={TONES[entry.kind]}>{entry.kind}</Badge> },
          { header: 'Credits', cell: (entry) => <Credits value={entry.credits} isSigned />, isNumber: true },
          {
            header: 'Balance after',
            cell: ({ balanceAfter }) => (balanceAfter === null ? '–' : whole(balanceAfter)),
            isNumber: true,
          },
          {
            header: 'Allocation',
            cell: (entry) => (entry.allocationId === null ? '–' : `#${entry.allocationId}`),
            isWide: true,
          },
          {
            header: 'Cause',
            cell: (entry) => (
              <span class="clip">
                {entry.usageId === null ? (
                  (entry.sessionId ?? '–')
                ) : (
                  <button
                    type="button"
                    class="link"
                    onClick={() => setSearch({ record: String(entry.usageId) })}
                  >
                    {entry.sessionId ?? `usage #${entry.usageId}`}
                  </button>
                )}
              </span>
            ),
            isWide: true,
          },
          {
            header: 'By',
            cell: ({ actor }) => (
              <span class="clip" title={actor}>
                {actor.replace(/^service:api-key-(\d+)$/, 'API key #$1')}
              </span>
            ),
            isWide: true,
          },
          {
            header: 'Note',
            cell: (entry) => (
              <span class="clip" title={entry.notes ?? ''}>
                {entry.notes ?? '–'}
              </span>
            ),
            isWide: true,
          },
        ]}
      />
      <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="entry" many="entries" />
      {pages.rows.length > 0 && <DownloadCsv address={address} fileName="ledger.csv" />}
    </>
  );
}
