import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from '../api/problem';
import { Empty, Skeleton, Trouble } from './ui';

export interface Column<Row> {
  header: ComponentChildren;
  /** What screen readers call it, where the header is no text. */
  label?: string;
  cell: (row: Row, index: number) => ComponentChildren;
  isNumber?: boolean;
  /** Left out where the screen is narrow. */
  isWide?: boolean;
}

interface TableProps<Row> {
  caption: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string | number;
  rowClass?: (row: Row) => string;
  isLoading?: boolean;
  problem?: Problem | undefined;
  refresh?: () => void;
  empty: ComponentChildren;
  hasMore?: boolean;
  loadMore?: () => void;
}

const ROW_HEIGHT = 44;
/** Rows drawn above and below what is seen, so that fast scrolling shows no gaps. */
const SPARE_ROWS = 12;
/** Up to here all rows are drawn: nothing is won by less. */
const DRAWN_WHOLE = 60;

/** A table of any length: it draws the rows that are seen, and asks for the next page near its end. */
export function Table<Row>(props: TableProps<Row>) {
  const {
    caption,
    columns,
    rows,
    keyOf,
    rowClass,
    isLoading = false,
    problem,
    refresh,
    empty,
    hasMore = false,
    loadMore,
  } = props;
  const frame = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, [rows.length === 0]);
  useEffect(() => {
    const element = frame.current;
    if (element === null || !hasMore || isLoading) return;
    if (element.scrollHeight - element.scrollTop - element.clientHeight < ROW_HEIGHT * SPARE_ROWS)
      loadMore?.();
  });
  if (rows.length === 0) {
    if (problem !== undefined) return <Trouble problem={problem} {...(refresh ? { retry: refresh } : {})} />;
    if (isLoading) return <Skeleton rows={6} />;
    return <>{typeof empty === 'string' ? <Empty title={empty} /> : empty}</>;
  }
  const isVirtual = rows.length > DRAWN_WHOLE;
  const first = isVirtual ? Math.max(0, Math.floor(top / ROW_HEIGHT) - SPARE_ROWS) : 0;
  const last = isVirtual
    ? Math.min(rows.length, Math.ceil((top + height) / ROW_HEIGHT) + SPARE_ROWS)
    : rows.length;
  return (
    <div
      ref={frame}
      class="table-frame"
      role="region"
      aria-label={caption}
      tabIndex={0}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <table aria-rowcount={hasMore ? -1 : rows.length + 1}>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column, index) => (
              <th key={index} scope="col" class={classOf(column)} aria-label={column.label}>
                {column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <Spacer rows={first} columns={columns.length} />}
          {rows.slice(first, last).map((row, offset) => (
            <tr key={keyOf(row)} class={rowClass?.(row)} aria-rowindex={first + offset + 2}>
              {columns.map((column, index) => (
                <td key={index} class={classOf(column)}>
                  {column.cell(row, first + offset)}
                </td>
              ))}
            </tr>
          ))}
          {last < rows.length && <Spacer rows={rows.length - last} columns={columns.length} />}
        </tbody>
      </table>
      {isLoading && hasMore && (
        <p class="hint loading-more" role="status">
          Reading more…
        </p>
      )}
      {problem !== undefined && <Trouble problem={problem} {...(loadMore ? { retry: loadMore } : {})} />}
    </div>
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
