import type { ThrottlerStorage } from '@nestjs/throttler';
import { LRUCache } from 'lru-cache';

type ThrottlerStorageRecord = Awaited<ReturnType<ThrottlerStorage['increment']>>;

interface Window {
  hits: number;
  /** What other workers behind the same port have counted, as far as they have told. */
  othersHits: number;
  /** `hits` when the others were told last. */
  toldHits: number;
  endsAt: number;
}

/** Callers counted at once per process; the one not seen for longest is forgotten first. */
const MAXIMUM_CALLERS = 100_000;

/**
 * Fixed-window counters in this process. The library's own storage keeps a timer per request, which at thousands of
 * requests a second costs more than the requests.
 */
export class FixedWindowStorage implements ThrottlerStorage {
  private readonly windows = new LRUCache<string, Window>({ max: MAXIMUM_CALLERS });
  /** Callers of whom the other workers should know: this one alone has seen a fair part of their limit. */
  private readonly near = new Set<string>();

  /** @param workers how many processes share the limit */
  constructor(private readonly workers = 1) {}

  /** @param ttl length of the window in milliseconds */
  increment(key: string, ttl: number, limit: number): Promise<ThrottlerStorageRecord> {
    const now = Date.now();
    let window = this.windows.get(key);
    if (window === undefined || window.endsAt <= now) {
      // Workers behind one port begin theirs at multiples of the length, so that all have the same.
      const begunAt = this.workers > 1 ? now - (now % ttl) : now;
      window = { hits: 0, othersHits: 0, toldHits: 0, endsAt: begunAt + ttl };
      this.windows.set(key, window);
      this.near.delete(key);
    }
    window.hits++;
    if (this.workers > 1 && window.hits >= limit / (2 * this.workers)) this.near.add(key);
    const totalHits = window.hits + window.othersHits;
    const secondsLeft = Math.ceil((window.endsAt - now) / 1000);
    return Promise.resolve({
      totalHits,
      timeToExpire: secondsLeft,
      isBlocked: totalHits > limit,
      timeToBlockExpire: secondsLeft,
    });
  }

  /** Callers near their limit who have asked again since this was called last, with what was counted here. */
  nearLimit(): [caller: string, windowEndsAt: number, requests: number][] {
    const changed: [string, number, number][] = [];
    for (const key of this.near) {
      const window = this.windows.peek(key);
      if (window === undefined || window.endsAt <= Date.now()) this.near.delete(key);
      else if (window.hits !== window.toldHits) {
        window.toldHits = window.hits;
        changed.push([key, window.endsAt, window.hits]);
      }
    }
    return changed;
  }

  /** What the other workers have counted for these callers. */
  learn(counts: [caller: string, windowEndsAt: number, requests: number][]): void {
    for (const [key, endsAt, requests] of counts) {
      const window = this.windows.peek(key);
      if (window?.endsAt === endsAt) window.othersHits = requests;
    }
  }
}
