import { vi } from 'vitest';

/** Stops the clock that durations are measured by, and no other; `vi.advanceTimersByTime` moves it on. */
export function stopMonotonicClock(): void {
  const now = performance.now();
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.advanceTimersByTime(now);
}
