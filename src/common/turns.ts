import { ServiceUnavailable } from './errors/service-error.js';

/** No turn is free in time: all of the key's own are taken, or all turns there are. */
export class NoTurn extends ServiceUnavailable {
  constructor(readonly reason: 'key' | 'all') {
    super();
  }
}

interface Limits {
  /** Turns of one key at once. */
  readonly perKey: number;
  /** Turns at once, of all keys. */
  readonly inAll: number;
  /** The longest time that anything waits for a turn; 0: nothing waits. */
  readonly patienceMilliseconds: number;
  /** The most that wait, for one key and in all; the next is refused at once. */
  readonly waitingPerKey: number;
  readonly waitingInAll: number;
}

interface Waiting {
  /** Where it stands in the order in which all turns were asked for. */
  readonly place: number;
  readonly begin: () => void;
}

/**
 * Turns at work of which only some may be under way in this process. They are given in the order in which they were asked
 * for, but a key that has all of its turns keeps no other key waiting.
 */
export class Turns {
  private readonly underWay = new Map<string, number>();
  private inAll = 0;
  /** By key, each in the order in which they were asked for. */
  private readonly waiting = new Map<string, Set<Waiting>>();
  private waitingInAll = 0;
  private asked = 0;

  constructor(private readonly limits: Limits) {}

  /**
   * @param abandoned aborts when the turn is not wanted any more
   * @returns what ends the turn
   * @throws NoTurn
   */
  async take(key: string, abandoned?: AbortSignal): Promise<() => void> {
    const free = this.takeFree(key);
    if (free !== undefined) return free;
    await this.wait(key, abandoned);
    return this.endOf(key);
  }

  /** A turn that is free now, or undefined. @returns what ends it */
  takeFree(key: string): (() => void) | undefined {
    if (!this.isFree(key)) return undefined;
    this.count(key, 1);
    return this.endOf(key);
  }

  private endOf(key: string): () => void {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.count(key, -1);
      this.next();
    };
  }

  /** The answer of `work`, done in a turn. @throws NoTurn; what `work` throws */
  async run<Answer>(key: string, work: () => Promise<Answer>): Promise<Answer> {
    const end = await this.take(key);
    try {
      return await work();
    } finally {
      end();
    }
  }

  private wait(key: string, abandoned: AbortSignal | undefined): Promise<void> {
    const { patienceMilliseconds, waitingPerKey, waitingInAll } = this.limits;
    const own = this.waiting.get(key) ?? new Set();
    const isCrowded = own.size >= waitingPerKey || this.waitingInAll >= waitingInAll;
    if (patienceMilliseconds === 0 || isCrowded || abandoned?.aborted) throw this.noTurn(key);
    return new Promise((resolve, reject) => {
      const leave = () => {
        end();
        this.remove(key, waiting);
        reject(this.noTurn(key));
      };
      // A timer for each: whatever becomes of those before it, this one is answered in time.
      const timer = setTimeout(leave, patienceMilliseconds);
      abandoned?.addEventListener('abort', leave);
      const end = () => {
        clearTimeout(timer);
        abandoned?.removeEventListener('abort', leave);
      };
      const waiting: Waiting = {
        place: this.asked++,
        begin: () => {
          end();
          resolve();
        },
      };
      this.waiting.set(key, own.add(waiting));
      this.waitingInAll++;
    });
  }

  private remove(key: string, waiting: Waiting): void {
    const own = this.waiting.get(key);
    if (!own?.delete(waiting)) return;
    this.waitingInAll--;
    if (own.size === 0) this.waiting.delete(key);
  }

  private next(): void {
    let next: { key: string; first: Waiting } | undefined;
    for (const [key, own] of this.waiting) {
      const [first] = own;
      if (first === undefined || !this.isFree(key)) continue;
      if (next === undefined || first.place < next.first.place) next = { key, first };
    }
    if (next === undefined) return;
    this.remove(next.key, next.first);
    this.count(next.key, 1);
    next.first.begin();
  }

  private isFree(key: string): boolean {
    return this.inAll < this.limits.inAll && (this.underWay.get(key) ?? 0) < this.limits.perKey;
  }

  private count(key: string, change: 1 | -1): void {
    this.inAll += change;
    const now = (this.underWay.get(key) ?? 0) + change;
    if (now === 0) this.underWay.delete(key);
    else this.underWay.set(key, now);
  }

  private noTurn(key: string): NoTurn {
    return new NoTurn((this.underWay.get(key) ?? 0) < this.limits.perKey ? 'all' : 'key');
  }
}
