import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../api/problem';
import { time } from '../format';
import { Explain } from './explain';
import { Button, Empty, Skeleton, Trouble } from './ui';

export interface Column<Row> {
  header: ComponentChildren;
  /** The section in docs/figures.md that explains it. */
  figure?: string;
  /** Its name for screen readers, where the header is not text. */
  label?: string;
  cell: (row: Row, index: number) => ComponentChildren;
  isNumber?: boolean;
  /** Left out on a narrow screen. */
  isWide?: boolean;
}

interface TableProps<Row> {
  caption: string;
  columns: Column<Row>[];
  /** Rows that are undefined exist, but are not in memory at the moment. */
  rows: readonly (Row | undefined)[];
  /** What all rows add up to. */
  total?: Row;
  keyOf: (row: Row) => string | number;
  rowClass?: (row: Row) => string;
  /** A click anywhere in a row, but on what is a link or a button itself; by the keyboard, the row's own button opens it. */
  onOpen?: (row: Row) => void;
  isLoading?: boolean;
  problem?: Problem | null;
  refresh?: () => void;
  empty: ComponentChildren;
  hasMore?: boolean;
  loadMore?: () => void;
  onSeen?: (first: number, last: number) => void;
  searchedBackTo?: string | null;
  isPaused?: boolean;
}

const ROW_HEIGHT = 44;
/** Rows drawn above and below the screen, so that fast scrolling shows no gaps. */
const SPARE_ROWS = 12;
/** Up to this number all rows are drawn. */
const DRAWN_WHOLE = 60;

/**
 * A table of any length: it draws the rows on the screen, and asks for the next page near its end. All rows have one
 * height, so that the first row on the screen is a division; TanStack Virtual would add 10 KB (gzip).
 */
export function Table<Row>(props: TableProps<Row>) {
  const {
    caption,
    columns,
    rows,
    total,
    keyOf,
    rowClass,
    onOpen,
    isLoading = false,
    problem = null,
    refresh,
    empty,
    hasMore = false,
    loadMore,
    onSeen,
    searchedBackTo = null,
    isPaused = false,
  } = props;
  const frame = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    // A new list starts at its own position, not where the one before was scrolled to.
    setTop(element.scrollTop);
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, [rows.length === 0]);
  const isVirtual = rows.length > DRAWN_WHOLE;
  const first = isVirtual ? Math.max(0, Math.floor(top / ROW_HEIGHT) - SPARE_ROWS) : 0;
  const last = isVirtual
    ? Math.min(rows.length, Math.ceil((top + height) / ROW_HEIGHT) + SPARE_ROWS)
    : rows.length;
  useEffect(() => {
    const element = frame.current;
    // After a failure a person tries again, not every drawing.
    if (isLoading || problem !== null) return;
    onSeen?.(first, last);
    if (!hasMore || isPaused) return;
    const below = element === null ? 0 : element.scrollHeight - element.scrollTop - element.clientHeight;
    if (below < ROW_HEIGHT * SPARE_ROWS) loadMore?.();
  });
  if (rows.length === 0) {
    if (problem !== null) {
      const retry = hasMore ? loadMore : refresh;
      return <Trouble problem={problem} {...(retry ? { retry } : {})} />;
    }
    if (searchedBackTo !== null)
      return <Searching backTo={searchedBackTo} isPaused={isPaused} loadMore={loadMore} />;
    if (isLoading) return <Skeleton rows={6} />;
    return <>{typeof empty === 'string' ? <Empty title={empty} /> : empty}</>;
  }
  return (
    <div
      ref={frame}
      class="table-frame"
      role="region"
      aria-label={caption}
      tabIndex={0}
      // Who scrolls with the pointer and goes on with a key needs no frame around the table.
      onPointerDown={({ currentTarget }) => currentTarget.classList.add('pointed')}
      onBlur={({ currentTarget }) => currentTarget.classList.remove('pointed')}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <table aria-rowcount={hasMore ? -1 : rows.length + 1}>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column, index) => (
              <th key={index} scope="col" class={classOf(column)} aria-label={column.label}>
                {column.figure === undefined ? (
                  column.header
                ) : (
                  <Explain figure={column.figure} word={column.header} />
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <Spacer rows={first} columns={columns.length} />}
          {rows.slice(first, last).map((row, offset) =>
            row === undefined ? (
              <tr key={`unread ${first + offset}`} aria-hidden="true">
                <td colSpan={columns.length}>
                  <span class="skeleton" />
                </td>
              </tr>
            ) : (
              <tr
                key={keyOf(row)}
                class={`${rowClass?.(row) ?? ''} ${onOpen === undefined ? '' : 'opens'}`.trim()}
                aria-rowindex={first + offset + 2}
                onClick={(event) => {
                  if (!(event.target as Element).closest('a, button, input, label')) onOpen?.(row);
                }}
              >
                {columns.map((column, index) => (
                  <td key={index} class={classOf(column)}>
                    {column.cell(row, first + offset)}
                  </td>
                ))}
              </tr>
            ),
          )}
          {last < rows.length && <Spacer rows={rows.length - last} columns={columns.length} />}
        </tbody>
        {total !== undefined && (
          <tfoot>
            <tr>
              {columns.map((column, index) => (
                <td key={index} class={classOf(column)}>
                  {column.cell(total, rows.length)}
                </td>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
      {searchedBackTo !== null ? (
        <Searching backTo={searchedBackTo} isPaused={isPaused} loadMore={loadMore} />
      ) : (
        isLoading &&
        hasMore && (
          <p class="hint loading-more" role="status">
            Loading more…
          </p>
        )
      )}
      {problem !== null && <Trouble problem={problem} {...(loadMore ? { retry: loadMore } : {})} />}
    </div>
  );
}

/** A rare filter over many records is answered in portions: shows how far the search has come, and continues it. */
function Searching({
  backTo,
  isPaused,
  loadMore,
}: {
  backTo: string;
  isPaused: boolean;
  loadMore: (() => void) | undefined;
}) {
  return (
    <p class="hint loading-more" role={isPaused ? 'status' : undefined}>
      {isPaused ? 'No more matches back to ' : 'Searching… no more matches back to '}
      <time dateTime={backTo}>{time(backTo)}</time>{' '}
      {isPaused && <Button onClick={() => loadMore?.()}>Search further back</Button>}
    </p>
  );
}

function Spacer({ rows, columns }: { rows: number; columns: number }) {
  return (
    <tr aria-hidden="true" class="spacer">
      <td colSpan={columns} style={{ height: `${rows * ROW_HEIGHT}px` }} />
    </tr>
  );
}

function classOf<Row>({ isNumber = false, isWide = false }: Column<Row>): string {
  return `${isNumber ? 'numeric' : ''} ${isWide ? 'wide-only' : ''}`.trim();
}
