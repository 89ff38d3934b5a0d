import { LRUCache } from 'lru-cache';
import { monotonicMilliseconds } from '../monotonic.js';

interface Window {
  hits: number;
  /** What other workers behind the same port have counted, as far as they have told. */
  othersHits: number;
  /** `hits` when the others were told last. */
  toldHits: number;
  /** By the monotonic clock, which the workers of a machine share. */
  endsAt: number;
}

/** Callers counted at once per process; the one not seen for longest is forgotten first. */
const MAXIMUM_CALLERS = 100_000;

/** Requests of each caller, counted in this process in windows of fixed length. */
export class RequestWindows {
  private readonly windows = new LRUCache<string, Window>({ max: MAXIMUM_CALLERS });
  /** Callers of whom the other workers should know: this one alone has seen a fair part of their limit. */
  private readonly near = new Set<string>();

  /** @param workers how many processes share the limit */
  constructor(private readonly workers = 1) {}

  /**
   * Counts one request.
   *
   * @returns the requests of the caller's window, this one included, and the seconds until the next window begins
   */
  count(
    caller: string,
    windowMilliseconds: number,
    limit: number,
  ): { requests: number; secondsLeft: number } {
    const now = monotonicMilliseconds();
    let window = this.windows.get(caller);
    if (window === undefined || window.endsAt <= now) {
      // Workers behind one port begin theirs at multiples of the length, so that all have the same.
      const begunAt = this.workers > 1 ? now - (now % windowMilliseconds) : now;
      window = { hits: 0, othersHits: 0, toldHits: 0, endsAt: begunAt + windowMilliseconds };
      this.windows.set(caller, window);
      this.near.delete(caller);
    }
    window.hits++;
    if (this.workers > 1 && window.hits >= limit / (2 * this.workers)) this.near.add(caller);
    const requests = window.hits + window.othersHits;
    return { requests, secondsLeft: Math.ceil((window.endsAt - now) / 1000) };
  }

  /** Callers near their limit who have asked again since this was called last, with what was counted here. */
  nearLimit(): [caller: string, windowEndsAt: number, requests: number][] {
    const now = monotonicMilliseconds();
    const changed: [string, number, number][] = [];
    for (const caller of this.near) {
      const window = this.windows.peek(caller);
      if (window === undefined || window.endsAt <= now) this.near.delete(caller);
      else if (window.hits !== window.toldHits) {
        window.toldHits = window.hits;
        changed.push([caller, window.endsAt, window.hits]);
      }
    }
    return changed;
  }

  /** What the other workers have counted for these callers. */
  learn(counts: [caller: string, windowEndsAt: number, requests: number][]): void {
    for (const [caller, endsAt, requests] of counts) {
      const window = this.windows.peek(caller);
      if (window?.endsAt === endsAt) window.othersHits = requests;
    }
  }
}
