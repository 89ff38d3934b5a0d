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
  readonly key: string;
  readonly begin: () => void;
}

/**
 * Turns at work of which only some may be under way in this process. They are given in the order in which they were asked
 * for, but a key that has all of its turns keeps no other key waiting.
 */
export class Turns {
  private readonly underWay = new Map<string, number>();
  private inAll = 0;
  private waiting: Waiting[] = [];

  constructor(private readonly limits: Limits) {}

  /**
   * @param abandoned aborts when the turn is not wanted any more
   * @returns what ends the turn
   * @throws NoTurn
   */
  async take(key: string, abandoned?: AbortSignal): Promise<() => void> {
    if (!this.isFree(key)) await this.wait(key, abandoned);
    else this.count(key, 1);
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
    const own = this.waiting.filter((other) => other.key === key).length;
    const isCrowded = own >= waitingPerKey || this.waiting.length >= waitingInAll;
    if (patienceMilliseconds === 0 || isCrowded || abandoned?.aborted) throw this.noTurn(key);
    return new Promise((resolve, reject) => {
      const leave = () => {
        end();
        this.waiting = this.waiting.filter((other) => other !== waiting);
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
        key,
        begin: () => {
          end();
          resolve();
        },
      };
      this.waiting.push(waiting);
    });
  }

  private next(): void {
    const index = this.waiting.findIndex(({ key }) => this.isFree(key));
    const [first] = index === -1 ? [] : this.waiting.splice(index, 1);
    if (first === undefined) return;
    this.count(first.key, 1);
    first.begin();
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
