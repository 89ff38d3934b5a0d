import type { ThrottlerStorage } from '@nestjs/throttler';
import { LRUCache } from 'lru-cache';
import { monotonicMilliseconds } from '../monotonic.js';

interface Window {
  hits: number;
  /** By the monotonic clock. */
  readonly endsAt: number;
}

/** How a caller begins that is an address, and no user. */
export const ADDRESS = 'address:';

/** Users, and addresses, counted at once per process; the one not seen for longest is forgotten first. */
const MAXIMUM_CALLERS = 100_000;

/**
 * Requests of each caller, counted in this process in windows of fixed length. The library's own storage is kept by the
 * clock of the day and has no bound: made-up callers would fill the memory.
 */
export class RequestWindows implements ThrottlerStorage {
  private readonly ofUsers = new LRUCache<string, Window>({ max: MAXIMUM_CALLERS });
  /** Apart: strangers with many addresses must not make the counts of users begin anew. */
  private readonly ofAddresses = new LRUCache<string, Window>({ max: MAXIMUM_CALLERS });

  /** Counts one request. A caller over the limit is refused until the window ends, and times are in whole seconds. */
  increment(caller: string, milliseconds: number, limit: number) {
    const now = monotonicMilliseconds();
    const windows = caller.startsWith(ADDRESS) ? this.ofAddresses : this.ofUsers;
    let window = windows.get(caller);
    if (window === undefined || window.endsAt <= now) {
      window = { hits: 0, endsAt: now + milliseconds };
      windows.set(caller, window);
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
