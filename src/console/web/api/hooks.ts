import { type QueryKey, useMutation, useQuery, useQueryClient } from '@tanstack/preact-query';
import { useId, useMemo, useRef } from 'preact/hooks';
import { append, type Book, fill, forget, missing, MOST_EMPTY, newBook, type Page } from './pages';
import { type Problem, toProblem } from './problem';

export interface Pages<Item> {
  /** Every row so far; undefined are those that are not in memory now. */
  rows: readonly (Item | undefined)[];
  /** The rows in memory: of a short list all of them. */
  items: Item[];
  hasMore: boolean;
  isLoading: boolean;
  problem: Problem | null;
  /** How far back a search in portions has looked. */
  searchedBackTo: string | null;
  /** A search in portions waits for a person to continue it. */
  isPaused: boolean;
  loadMore: () => void;
  /** Reports which rows are on the screen, so that they are read. */
  onSeen: (first: number, last: number) => void;
  refresh: () => void;
}

interface Further<Item> {
  cursor: string | undefined;
  /** Of the book that the page belongs to. */
  id: number;
  put: (book: Book<Item>, page: Page<Item>) => Book<Item>;
}

/**
 * A long list, read page by page as a person scrolls towards its end. However long it is, only some pages are kept;
 * the others are read again when a person scrolls back to them.
 *
 * @param options.keepsAll for a list that is searched in the browser
 */
export function usePages<Item>(
  queryKey: QueryKey,
  ask: (cursor: string | undefined, signal?: AbortSignal) => Promise<Page<Item>>,
  { keepsAll = false } = {},
): Pages<Item> {
  const client = useQueryClient();
  const seenRow = useRef(0);
  const list = useQuery({
    queryKey,
    queryFn: async ({ signal }) => append(newBook<Item>(), await ask(undefined, signal)),
    // A person who comes back from another tab keeps their place in the list.
    refetchOnWindowFocus: false,
    structuralSharing: false,
  });
  const further = useMutation({
    mutationKey: queryKey,
    meta: { isRead: true },
    mutationFn: ({ cursor }: Further<Item>) => ask(cursor),
    onSuccess: (page, { id, put }) =>
      client.setQueryData<Book<Item>>(queryKey, (now) => {
        // The list was read again meanwhile, and this page is no part of it.
        if (now === undefined || now.id !== id) return now;
        return keepsAll ? put(now, page) : forget(put(now, page), seenRow.current);
      }),
  });
  const book = list.data;
  const items = useMemo(() => (book?.rows ?? []).filter((row) => row !== undefined), [book?.rows]);
  const read = (cursor: string | undefined, put: Further<Item>['put']) => {
    if (
      book === undefined ||
      list.isFetching ||
      client.isMutating({ mutationKey: queryKey, exact: true }) > 0
    )
      return;
    further.mutate({ cursor, id: book.id, put });
  };
  return {
    rows: book?.rows ?? [],
    items,
    hasMore: typeof book?.next === 'string',
    isLoading: list.isFetching || further.isPending,
    problem: list.error ?? (further.variables?.id === book?.id ? further.error : null),
    searchedBackTo: book?.searchedBackTo ?? null,
    isPaused: book !== undefined && book.emptyPages > 0 && book.emptyPages % MOST_EMPTY === 0,
    loadMore: () => {
      if (typeof book?.next === 'string') read(book.next, append);
    },
    onSeen: (first, last) => {
      seenRow.current = (first + last) / 2;
      const index = book && missing(book, first, last);
      if (index !== undefined) read(book?.chunks[index]?.cursor, (now, page) => fill(now, index, page));
    },
    refresh: () => void list.refetch(),
  };
}

/** A search in the browser reads a list on until this many rows are there. */
const MOST_SEARCHED = 5000;

/**
 * The rows of a list that match what a person searches for, in a list that is kept whole.
 *
 * @param wanted in lower case; empty: all rows
 */
export function searched<Item>(pages: Pages<Item>, wanted: string, textOf: (item: Item) => string): Item[] {
  if (wanted === '') return pages.items;
  const canRead = pages.hasMore && !pages.isLoading && pages.problem === null;
  if (canRead && pages.items.length < MOST_SEARCHED) pages.loadMore();
  return pages.items.filter((item) => textOf(item).toLowerCase().includes(wanted));
}

export interface Action<Arguments extends unknown[], Result> {
  run: (...args: Arguments) => Promise<Result | undefined>;
  isBusy: boolean;
  problem: Problem | null;
  forget: () => void;
}

/**
 * Something a person does: it cannot be started twice at once, and when it succeeds, everything on the screen is read
 * again.
 *
 * @param options.isRead it changes nothing
 */
export function useAction<Arguments extends unknown[], Result>(
  act: (...args: Arguments) => Promise<Result>,
  { isRead = false } = {},
): Action<Arguments, Result> {
  const client = useQueryClient();
  const mutationKey = [useId()];
  const { mutateAsync, isPending, error, reset } = useMutation({
    mutationKey,
    meta: { isRead },
    mutationFn: (args: Arguments) =>
      act(...args).catch((fault: unknown) => {
        throw toProblem(fault);
      }),
  });
  const run = async (...args: Arguments) => {
    // Not by `isPending`: the second click of a double click comes before the next drawing.
    if (client.isMutating({ mutationKey }) > 0) return undefined;
    return mutateAsync(args).catch(() => undefined);
  };
  return { run, isBusy: isPending, problem: error, forget: reset };
}
