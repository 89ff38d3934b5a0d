import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RequestWindows } from './request-windows.js';

const WINDOW = 5000;
const HOUR = 3_600_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date', 'hrtime', 'performance'] }));
afterEach(() => void vi.useRealTimers());

describe.each([1, 2])('windows of %i workers', (workers) => {
  const count = (windows: RequestWindows) => windows.count('alice', WINDOW, 10);

  it.each([
    ['back', -HOUR],
    ['forward', HOUR],
  ])('are as long as ever, and count on, when the clock is set %s', (_, by) => {
    const windows = new RequestWindows(workers);
    const { secondsLeft } = count(windows);
    expect(secondsLeft).toBeLessThanOrEqual(5);
    vi.setSystemTime(Date.now() + by);
    expect(count(windows)).toEqual({ requests: 2, secondsLeft });
    vi.advanceTimersByTime(WINDOW + 1);
    expect(count(windows).requests).toBe(1);
  });

  it('tell the other workers of the same window, whatever the clock of the day says', () => {
    const [one, other] = [new RequestWindows(workers), new RequestWindows(workers)];
    for (let hits = 0; hits < 9; hits++) count(one);
    vi.setSystemTime(Date.now() - HOUR);
    count(other);
    other.learn(one.nearLimit());
    expect(count(other).requests).toBe(workers > 1 ? 11 : 2);
  });
});
