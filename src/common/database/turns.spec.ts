import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ServiceUnavailable } from '../errors/service-error.js';
import { Turns } from './turns.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Work that lasts so many milliseconds, and what of it was under way at once. */
function worker() {
  const seen = { now: 0, most: 0, order: [] as number[] };
  const work = (index: number, milliseconds: number, error?: Error) => async () => {
    seen.order.push(index);
    seen.most = Math.max(seen.most, ++seen.now);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    seen.now--;
    if (error) throw error;
    return index;
  };
  return { seen, work };
}

describe('turns', () => {
  it('come one after the other and in order for one key, at once for different keys', async () => {
    const turns = new Turns(100, 10_000);
    const { seen, work } = worker();
    const answers = [0, 1, 2, 3].map((index) => turns.take('a', work(index, 10)));
    await vi.advanceTimersByTimeAsync(40);
    expect(await Promise.all(answers)).toEqual([0, 1, 2, 3]);
    expect(seen).toEqual({ now: 0, most: 1, order: [0, 1, 2, 3] });
    const others = ['a', 'b', 'c'].map((key, index) => turns.take(key, work(index, 10)));
    await vi.advanceTimersByTimeAsync(10);
    expect(await Promise.all(others)).toEqual([0, 1, 2]);
    expect(seen.most).toBe(3);
  });

  it('go on after an error, which only its own caller gets', async () => {
    const turns = new Turns(100, 10_000);
    const { work } = worker();
    const results = Promise.allSettled([
      turns.take('a', work(0, 10, new Error('of the first'))),
      turns.take('a', work(1, 10)),
    ]);
    await vi.advanceTimersByTimeAsync(20);
    expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it('refuse at once what is too many, and each that has waited too long at its own time', async () => {
    const turns = new Turns(3, 100);
    const { work } = worker();
    const ends: Record<number, [number, unknown]> = {};
    const began = Date.now();
    const ask = (index: number, milliseconds: number) =>
      void turns.take('a', work(index, milliseconds)).then(
        (answer) => (ends[index] = [Date.now() - began, answer]),
        (error: unknown) => (ends[index] = [Date.now() - began, error]),
      );
    ask(0, 150);
    ask(1, 10);
    await vi.advanceTimersByTimeAsync(60);
    ask(2, 20);
    ask(3, 10);
    ask(4, 10);
    await vi.advanceTimersByTimeAsync(1000);
    const refused = expect.any(ServiceUnavailable) as unknown;
    expect(ends).toEqual({
      0: [150, 0],
      1: [100, refused],
      2: [170, 2],
      3: [160, refused],
      4: [60, refused],
    });
  });

  it('leave nothing behind: the next one begins at once', async () => {
    const turns = new Turns(1, 50);
    const { work } = worker();
    const first = turns.take('a', work(0, 100));
    const late = turns.take('a', work(1, 1)).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(100);
    expect(await first).toBe(0);
    expect(await late).toBeInstanceOf(ServiceUnavailable);
    const next = turns.take('a', work(2, 1));
    await vi.advanceTimersByTimeAsync(1);
    expect(await next).toBe(2);
  });
});
