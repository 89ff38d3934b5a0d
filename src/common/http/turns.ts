/** Why a turn is not to be had: the caller's own are all taken, or there are too many of others. */
export class NoTurn extends Error {
  constructor(readonly reason: 'caller' | 'all') {
    super(`no turn left: ${reason}`);
  }
}

interface Limits {
  /** Turns of one caller at once. */
  readonly perCaller: number;
  /** Turns at once, of all callers. */
  readonly inAll: number;
  /** How long a caller waits for a turn; 0: not at all. */
  readonly patienceMilliseconds: number;
  /** Requests of one caller, and of all callers, that may wait at once. */
  readonly waitingPerCaller: number;
  readonly waitingInAll: number;
}

interface Waiting {
  readonly caller: string;
  readonly begin: () => void;
}

/**
 * Turns at work that is costly, in this process. Requests are taken in the order in which they came, but those of a caller
 * who has all of their turns do not keep others waiting.
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
  async take(caller: string, abandoned?: AbortSignal): Promise<() => void> {
    if (!this.isFree(caller)) await this.wait(caller, abandoned);
    else this.count(caller, 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.count(caller, -1);
      this.next();
    };
  }

  private wait(caller: string, abandoned: AbortSignal | undefined): Promise<void> {
    const { patienceMilliseconds, waitingPerCaller, waitingInAll } = this.limits;
    const own = this.waiting.filter((other) => other.caller === caller).length;
    const isCrowded = own >= waitingPerCaller || this.waiting.length >= waitingInAll;
    if (patienceMilliseconds === 0 || isCrowded || abandoned?.aborted) throw this.noTurn(caller);
    return new Promise((resolve, reject) => {
      const leave = () => {
        end();
        this.waiting = this.waiting.filter((other) => other !== waiting);
        reject(this.noTurn(caller));
      };
      const timer = setTimeout(leave, patienceMilliseconds);
      abandoned?.addEventListener('abort', leave);
      const end = () => {
        clearTimeout(timer);
        abandoned?.removeEventListener('abort', leave);
      };
      const waiting: Waiting = {
        caller,
        begin: () => {
          end();
          resolve();
        },
      };
      this.waiting.push(waiting);
    });
  }

  private next(): void {
    const index = this.waiting.findIndex(({ caller }) => this.isFree(caller));
    const [first] = index === -1 ? [] : this.waiting.splice(index, 1);
    if (first === undefined) return;
    this.count(first.caller, 1);
    first.begin();
  }

  private isFree(caller: string): boolean {
    return this.inAll < this.limits.inAll && (this.underWay.get(caller) ?? 0) < this.limits.perCaller;
  }

  private count(caller: string, change: 1 | -1): void {
    this.inAll += change;
    const now = (this.underWay.get(caller) ?? 0) + change;
    if (now === 0) this.underWay.delete(caller);
    else this.underWay.set(caller, now);
  }

  private noTurn(caller: string): NoTurn {
    return new NoTurn((this.underWay.get(caller) ?? 0) < this.limits.perCaller ? 'all' : 'caller');
  }
}
