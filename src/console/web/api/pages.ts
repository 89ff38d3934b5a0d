/**
 * Pages of a long list that are kept in memory at once; the others are read again when a person scrolls back to them.
 * 100,000 usage records take 3 MB this way, and 25 MB when all pages are kept. TanStack's infinite query would read all
 * 500 pages again at each refresh, and with its `maxPages` it comes back to the middle only page after page.
 */
export const MOST_KEPT = 20;
/** Pages without a match after which a search waits for a person to continue it. */
export const MOST_EMPTY = 20;

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
  /** How far back a search in portions has looked, where the page could not be filled. */
  searchedBackTo?: string | null;
}

/** Lists that are read whole are short: this many pages at most. */
const MOST_PAGES = 25;

/** Every item of a list, page after page. */
export async function readAll<Item>(
  ask: (cursor: string | undefined) => Promise<Page<Item>>,
  mostPages = MOST_PAGES,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < mostPages; page++) {
    const { items: more, nextCursor } = await ask(cursor);
    items.push(...more);
    if (nextCursor === null) break;
    cursor = nextCursor;
  }
  return items;
}

interface Chunk {
  readonly cursor: string | undefined;
  readonly at: number;
  readonly length: number;
  readonly isKept: boolean;
}

/** What has been read of a list. */
export interface Book<Item> {
  /** A list that is read again from its beginning is another book. */
  readonly id: number;
  /** Every row so far; undefined are those that are not in memory now. */
  readonly rows: readonly (Item | undefined)[];
  readonly chunks: readonly Chunk[];
  /** Where the next page begins; undefined before the first, null after the last. */
  readonly next: string | null | undefined;
  readonly searchedBackTo: string | null;
  readonly emptyPages: number;
}

let lastId = 0;

export const newBook = <Item>(): Book<Item> => ({
  id: ++lastId,
  rows: [],
  chunks: [],
  next: undefined,
  searchedBackTo: null,
  emptyPages: 0,
});

/** The book with the page after its last one. */
export function append<Item>(book: Book<Item>, page: Page<Item>): Book<Item> {
  const { items, nextCursor, searchedBackTo = null } = page;
  const chunk = { cursor: book.next ?? undefined, at: book.rows.length, length: items.length, isKept: true };
  return {
    ...book,
    rows: book.rows.concat(items),
    chunks: items.length === 0 ? book.chunks : [...book.chunks, chunk],
    next: nextCursor,
    searchedBackTo,
    emptyPages: items.length === 0 ? book.emptyPages + 1 : 0,
  };
}

/** The book with a forgotten page that was read again; rows that are new in it do not move other rows. */
export function fill<Item>(book: Book<Item>, index: number, { items }: Page<Item>): Book<Item> {
  const chunk = book.chunks[index];
  if (chunk === undefined) return book;
  const rows = book.rows.slice();
  for (let row = 0; row < chunk.length; row++) rows[chunk.at + row] = items[row];
  return { ...book, rows, chunks: book.chunks.with(index, { ...chunk, isKept: true }) };
}

/** The book without the pages farthest from the rows on the screen. The first stays: not only the table uses it. */
export function forget<Item>(book: Book<Item>, seenRow: number, most = MOST_KEPT): Book<Item> {
  const kept = book.chunks.map((chunk, index) => ({ ...chunk, index })).filter(({ isKept }) => isKept);
  if (kept.length <= most) return book;
  const rows = book.rows.slice();
  let { chunks } = book;
  const farthest = kept
    .filter(({ index }) => index > 0)
    .sort((a, b) => distance(b, seenRow) - distance(a, seenRow))
    .slice(0, kept.length - most);
  for (const { index, ...chunk } of farthest) {
    rows.fill(undefined, chunk.at, chunk.at + chunk.length);
    chunks = chunks.with(index, { ...chunk, isKept: false });
  }
  return { ...book, rows, chunks };
}

const distance = ({ at, length }: Chunk, row: number) => Math.abs(at + length / 2 - row);

/** The first forgotten page that is on the screen. */
export function missing(book: Book<unknown>, first: number, last: number): number | undefined {
  const index = book.chunks.findIndex(
    ({ at, length, isKept }) => !isKept && at < last && at + length > first,
  );
  return index === -1 ? undefined : index;
}
