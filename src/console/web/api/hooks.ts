import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { reconnections } from './connection';
import { append, type Book, fill, forget, missing, MOST_EMPTY, newBook, type Page } from './pages';
import { Problem } from './problem';

export interface Query<Data> {
  data: Data | undefined;
  problem: Problem | undefined;
  isLoading: boolean;
  refresh: () => void;
}

export function toProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(-1, 'console.fault', (error as Error).message);
}

/**
 * What the API says, asked anew when `key` changes, when the service has come back, and every `everyMilliseconds` while
 * somebody looks. What is there stays on the screen until the next answer.
 */
export function useQuery<Data>(
  key: string,
  ask: (signal: AbortSignal) => Promise<Data>,
  { everyMilliseconds }: { everyMilliseconds?: number } = {},
): Query<Data> {
  const [state, setState] = useState<{ key: string; data?: Data; problem?: Problem; isLoading: boolean }>({
    key,
    isLoading: true,
  });
  const [round, setRound] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  const comebacks = reconnections.value;
  useEffect(() => {
    const control = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async () => {
      setState((before) => (before.key === key ? { ...before, isLoading: true } : { key, isLoading: true }));
      try {
        const data = await latest.current(control.signal);
        if (!control.signal.aborted) setState({ key, data, isLoading: false });
      } catch (error) {
        if (control.signal.aborted) return;
        const problem = toProblem(error);
        setState((before) => ({ ...before, key, problem, isLoading: false }));
      }
      if (everyMilliseconds !== undefined && !control.signal.aborted)
        timer = setTimeout(poll, everyMilliseconds);
    };
    const poll = () => {
      if (document.visibilityState === 'visible') void run();
      else document.addEventListener('visibilitychange', poll, { once: true });
    };
    void run();
    return () => {
      control.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', poll);
    };
  }, [key, round, comebacks, everyMilliseconds]);
  const refresh = useCallback(() => setRound((before) => before + 1), []);
  const isCurrent = state.key === key;
  return {
    data: isCurrent ? state.data : undefined,
    problem: isCurrent ? state.problem : undefined,
    isLoading: !isCurrent || state.isLoading,
    refresh,
  };
}

export interface Pages<Item> {
  /** Every row so far; undefined are those that are not in memory now. */
  rows: readonly (Item | undefined)[];
  /** The rows in memory: of a short list all of them. */
  items: Item[];
  hasMore: boolean;
  isLoading: boolean;
  problem: Problem | undefined;
  /** How far a search in portions has looked, and whether it waits to be told to go on. */
  searchedBackTo: string | null;
  isPaused: boolean;
  loadMore: () => void;
  /** Tells which rows are looked at, so that they are there. */
  onSeen: (first: number, last: number) => void;
  refresh: () => void;
}

/**
 * A long list, read page by page as somebody scrolls towards its end. However long it is, only some pages are kept; those
 * somebody scrolls back to are read again.
 *
 * @param options.keepsAll for a list that is searched where it is shown
 */
export function usePages<Item>(
  key: string,
  ask: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<Item>>,
  { keepsAll = false } = {},
): Pages<Item> {
  const [state, setState] = useState<Book<Item>>(() => newBook(key));
  const [round, setRound] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  const control = useRef(new AbortController());
  const isBusy = useRef(false);
  const seenRow = useRef(0);
  const comebacks = reconnections.value;
  const read = useCallback(
    async (cursor: string | undefined, put: (book: Book<Item>, page: Page<Item>) => Book<Item>) => {
      const { signal } = control.current;
      isBusy.current = true;
      setState((now) => ({
        ...(now.key === key ? now : newBook<Item>(key)),
        isLoading: true,
        problem: undefined,
      }));
      try {
        const page = await latest.current(cursor, signal);
        if (signal.aborted) return;
        setState((now) => (keepsAll ? put(now, page) : forget(put(now, page), seenRow.current)));
      } catch (error) {
        if (signal.aborted) return;
        setState((now) => ({ ...now, problem: toProblem(error), isLoading: false }));
      }
      isBusy.current = false;
    },
    [key],
  );
  useEffect(() => {
    control.current = new AbortController();
    void read(undefined, (_, page) => append(newBook(key), page));
    return () => control.current.abort();
  }, [key, round, comebacks]);
  const isCurrent = state.key === key;
  const items = useMemo(() => state.rows.filter((row) => row !== undefined), [state.rows]);
  return {
    rows: isCurrent ? state.rows : [],
    items: isCurrent ? items : [],
    hasMore: isCurrent && typeof state.next === 'string',
    isLoading: !isCurrent || state.isLoading,
    problem: isCurrent ? state.problem : undefined,
    searchedBackTo: isCurrent ? state.searchedBackTo : null,
    isPaused: isCurrent && state.emptyPages > 0 && state.emptyPages % MOST_EMPTY === 0,
    loadMore: () => {
      if (!isBusy.current && isCurrent && typeof state.next === 'string') void read(state.next, append);
    },
    onSeen: (first, last) => {
      seenRow.current = (first + last) / 2;
      if (isBusy.current || !isCurrent) return;
      const index = missing(state, first, last);
      if (index !== undefined)
        void read(state.chunks[index]?.cursor, (book, page) => fill(book, index, page));
    },
    refresh: () => setRound((before) => before + 1),
  };
}

/** A search looks through whole pages: a list is read on until this many are there. */
const MOST_SEARCHED = 5000;

/**
 * What somebody searches for in a list that is kept whole.
 *
 * @param wanted in lower case; nothing is everything
 */
export function searched<Item>(pages: Pages<Item>, wanted: string, textOf: (item: Item) => string): Item[] {
  if (wanted === '') return pages.items;
  const canRead = pages.hasMore && !pages.isLoading && pages.problem === undefined;
  if (canRead && pages.items.length < MOST_SEARCHED) pages.loadMore();
  return pages.items.filter((item) => textOf(item).toLowerCase().includes(wanted));
}

export interface Action<Arguments extends unknown[], Result> {
  run: (...args: Arguments) => Promise<Result | undefined>;
  isBusy: boolean;
  problem: Problem | undefined;
  forget: () => void;
}

/** Something a person does once: while it goes on it cannot be done again. */
export function useAction<Arguments extends unknown[], Result>(
  act: (...args: Arguments) => Promise<Result>,
): Action<Arguments, Result> {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const isRunning = useRef(false);
  const run = async (...args: Arguments) => {
    // Not by state alone: a double click comes before the next drawing.
    if (isRunning.current) return undefined;
    isRunning.current = true;
    setBusy(true);
    setProblem(undefined);
    try {
      return await act(...args);
    } catch (error) {
      setProblem(toProblem(error));
      return undefined;
    } finally {
      isRunning.current = false;
      setBusy(false);
    }
  };
  return { run, isBusy, problem, forget: () => setProblem(undefined) };
}
