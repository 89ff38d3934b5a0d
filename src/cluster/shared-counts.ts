import { LRUCache } from 'lru-cache';
import type { Count } from './messages.js';

/** Callers near their limit; those far from it are not told of. */
const MAXIMUM_CALLERS = 100_000;

/** What each worker has counted, kept by the process above them. */
export class SharedCounts {
  private readonly callers = new LRUCache<string, { endsAt: number; byWorker: Map<number, number> }>({
    max: MAXIMUM_CALLERS,
  });

  /** Takes what one worker has counted, and answers what the others have for the same callers in the same windows. */
  exchange(workerId: number, counts: Count[]): Count[] {
    return counts.map(([caller, endsAt, requests]) => {
      let known = this.callers.get(caller);
      if (known === undefined || known.endsAt < endsAt) {
        known = { endsAt, byWorker: new Map() };
        this.callers.set(caller, known);
      }
      if (known.endsAt > endsAt) return [caller, endsAt, 0];
      known.byWorker.set(workerId, requests);
      let others = 0;
      for (const [id, counted] of known.byWorker) if (id !== workerId) others += counted;
      return [caller, endsAt, others];
    });
  }

  /** A worker that has ended: its id does not come again, and what it has let through still counts. */
  forget(workerId: number): void {
    for (const { byWorker } of this.callers.values()) {
      const counted = byWorker.get(workerId);
      if (counted === undefined) continue;
      byWorker.delete(workerId);
      byWorker.set(0, (byWorker.get(0) ?? 0) + counted);
    }
  }
}
