import { describe, expect, it } from 'vitest';
import { append, type Book, fill, forget, missing, newBook, type Page } from './pages';

const SIZE = 10;
const page = (index: number, last = false): Page<number> => ({
  items: Array.from({ length: SIZE }, (_, row) => index * SIZE + row),
  nextCursor: last ? null : `after-${index}`,
});
const bookOf = (pages: number): Book<number> =>
  Array.from({ length: pages }, (_, index) => page(index, index === pages - 1)).reduce(
    (book, next) => append(book, next),
    newBook<number>(),
  );
const inMemory = ({ rows }: Book<number>) => rows.filter((row) => row !== undefined);

describe('a long list', () => {
  it('keeps the first page, the pages around the screen, and the place of every row', () => {
    const book = forget(bookOf(100), 507, 5);
    expect(book.rows).toHaveLength(1000);
    expect(inMemory(book)).toEqual([0, 49, 50, 51, 52].flatMap((index) => page(index).items));
    expect(book.rows[505]).toBe(505);
    expect(book.next).toBeNull();
  });

  it('finds the page that is missing on the screen, and reads it again from its own cursor', () => {
    const book = forget(bookOf(100), 995, 5);
    expect(missing(book, 960, 999)).toBeUndefined();
    expect(missing(book, 0, 9)).toBeUndefined();
    const index = missing(book, 305, 340) as number;
    expect(book.chunks[index]).toMatchObject({ cursor: 'after-29', at: 300, length: SIZE, isKept: false });
    const filled = fill(book, index, page(30));
    expect(filled.rows.slice(300, 310)).toEqual(page(30).items);
    expect(missing(filled, 305, 340)).toBe(31);
  });

  it('moves no row when a page has grown since it was read', () => {
    const book = forget(bookOf(10), 95, 2);
    const grown = fill(book, 4, { items: [-1, ...page(4).items], nextCursor: 'x' });
    expect(grown.rows).toHaveLength(100);
    expect(grown.rows.slice(40, 51)).toEqual([-1, ...page(4).items.slice(0, 9), undefined]);
  });

  it('counts the empty pages of a search in a row, and starts again at a match', () => {
    const empty = { items: [], nextCursor: 'on', searchedBackTo: '2026-11-01T00:00:00.000Z' };
    const book = append(append(newBook<number>(), empty), empty);
    expect(book).toMatchObject({ emptyPages: 2, searchedBackTo: '2026-11-01T00:00:00.000Z', chunks: [] });
    expect(append(book, page(0))).toMatchObject({ emptyPages: 0, searchedBackTo: null });
    expect(append(book, page(0)).chunks).toMatchObject([{ cursor: 'on', at: 0 }]);
  });
});
