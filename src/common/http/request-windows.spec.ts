import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RequestWindows } from './request-windows.js';

const WINDOW = 5000;
const LIMIT = 2;
const HOUR = 3_600_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date', 'hrtime', 'performance'] }));
afterEach(() => void vi.useRealTimers());

describe('windows', () => {
  const count = (windows: RequestWindows, caller = 'alice') => windows.increment(caller, WINDOW, LIMIT);

  it.each([
    ['back', -HOUR],
    ['forward', HOUR],
  ])('are as long as ever, and count on, when the clock is set %s', async (_, by) => {
    const windows = new RequestWindows();
    expect(await count(windows)).toMatchObject({ totalHits: 1, timeToExpire: 5 });
    vi.setSystemTime(Date.now() + by);
    expect(await count(windows)).toMatchObject({ totalHits: 2, timeToExpire: 5 });
    vi.advanceTimersByTime(WINDOW + 1);
    expect(await count(windows)).toMatchObject({ totalHits: 1, timeToExpire: 5 });
  });

  it('block what is over the limit until their end, and no other caller', async () => {
    const windows = new RequestWindows();
    const isBlocked = async (caller?: string) => (await count(windows, caller)).isBlocked;
    expect([await isBlocked(), await isBlocked(), await isBlocked()]).toEqual([false, false, true]);
    expect(await isBlocked('bob')).toBe(false);
    vi.advanceTimersByTime(WINDOW - 1000);
    expect(await count(windows)).toMatchObject({ isBlocked: true, timeToBlockExpire: 1 });
    vi.advanceTimersByTime(1000);
    expect(await isBlocked()).toBe(false);
  });

  it('are of 100,000 callers at most: the one not seen for longest is forgotten', async () => {
    const windows = new RequestWindows();
    await count(windows, 'first');
    await count(windows, 'second');
    await count(windows, 'first');
    for (let index = 0; index < 99_999; index++) await count(windows, `stranger-${index}`);
    expect((await count(windows, 'first')).totalHits).toBe(3);
    expect((await count(windows, 'second')).totalHits).toBe(1);
  });

  it('of users are not forgotten for strangers’ addresses', async () => {
    const windows = new RequestWindows();
    await count(windows, 'user:alice');
    for (let index = 0; index < 100_000; index++) await count(windows, `address:${index}`);
    expect((await count(windows, 'user:alice')).totalHits).toBe(2);
  });
});
