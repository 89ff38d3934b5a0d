import type { ThrottlerStorage } from '@nestjs/throttler';
import { LRUCache } from 'lru-cache';

type ThrottlerStorageRecord = Awaited<ReturnType<ThrottlerStorage['increment']>>;

interface Window {
  hits: number;
  endsAt: number;
}

/** Callers counted at once per instance; the one not seen for longest is forgotten first. */
const MAXIMUM_CALLERS = 100_000;

/**
 * Fixed-window counters in this process. The library's own storage keeps a timer per request, which at thousands of
 * requests a second costs more than the requests.
 */
export class FixedWindowStorage implements ThrottlerStorage {
  private readonly windows = new LRUCache<string, Window>({ max: MAXIMUM_CALLERS });

  /** @param ttl length of the window in milliseconds */
  increment(key: string, ttl: number, limit: number): Promise<ThrottlerStorageRecord> {
    const now = Date.now();
    let window = this.windows.get(key);
    if (window === undefined || window.endsAt <= now) {
      window = { hits: 0, endsAt: now + ttl };
      this.windows.set(key, window);
    }
    window.hits++;
    const secondsLeft = Math.ceil((window.endsAt - now) / 1000);
    return Promise.resolve({
      totalHits: window.hits,
      timeToExpire: secondsLeft,
      isBlocked: window.hits > limit,
      timeToBlockExpire: secondsLeft,
    });
  }
}
