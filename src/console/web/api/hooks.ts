import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Page } from './client';
import { reconnections } from './connection';
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
  items: Item[];
  hasMore: boolean;
  isLoading: boolean;
  problem: Problem | undefined;
  loadMore: () => void;
  refresh: () => void;
}

/** A long list, read page by page as somebody scrolls towards its end. */
export function usePages<Item>(
  key: string,
  ask: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<Item>>,
): Pages<Item> {
  interface State {
    key: string;
    items: Item[];
    cursor: string | null | undefined;
    problem?: Problem;
    isLoading: boolean;
  }
  const [state, setState] = useState<State>({ key, items: [], cursor: undefined, isLoading: true });
  const [round, setRound] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  const control = useRef(new AbortController());
  const isBusy = useRef(false);
  const comebacks = reconnections.value;
  const read = useCallback(
    async (cursor: string | undefined, before: Item[], isFirst: boolean) => {
      const { signal } = control.current;
      isBusy.current = true;
      setState((now) => ({
        ...now,
        key,
        isLoading: true,
        ...(isFirst && now.key !== key ? { items: [] } : {}),
      }));
      try {
        const page = await latest.current(cursor, signal);
        if (signal.aborted) return;
        setState({ key, items: before.concat(page.items), cursor: page.nextCursor, isLoading: false });
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
    void read(undefined, [], true);
    return () => control.current.abort();
  }, [key, round, comebacks]);
  const isCurrent = state.key === key;
  const loadMore = () => {
    if (isBusy.current || !isCurrent || typeof state.cursor !== 'string') return;
    void read(state.cursor, state.items, false);
  };
  return {
    items: isCurrent ? state.items : [],
    hasMore: isCurrent && typeof state.cursor === 'string',
    isLoading: !isCurrent || state.isLoading,
    problem: isCurrent ? state.problem : undefined,
    loadMore,
    refresh: () => setRound((before) => before + 1),
  };
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
