import { ServiceUnavailable } from '../errors/service-error.js';

/** One piece of work at a time for each key; the others wait in the process, in order, without a connection. */
export class Turns {
  /** Those that wait, by key. A key is here while its turn is taken. */
  private readonly lines = new Map<string, (() => void)[]>();

  /**
   * @param maximumWaiting the most that wait for one key; the next is refused at once
   * @param patienceMilliseconds the longest time that anything waits for its turn
   */
  constructor(
    private readonly maximumWaiting: number,
    private readonly patienceMilliseconds: number,
  ) {}

  /** The answer of `work`, or its error. @throws ServiceUnavailable when too many wait, or for too long */
  async take<Answer>(key: string, work: () => Promise<Answer>): Promise<Answer> {
    await this.arrive(key);
    try {
      return await work();
    } finally {
      this.passOn(key);
    }
  }

  private arrive(key: string): Promise<void> | undefined {
    const line = this.lines.get(key);
    if (line === undefined) {
      this.lines.set(key, []);
      return undefined;
    }
    if (line.length >= this.maximumWaiting) throw new ServiceUnavailable();
    return new Promise((resolve, reject) => {
      const begin = () => {
        clearTimeout(timer);
        resolve();
      };
      // A timer for each: whatever becomes of those before it, this one is answered in time.
      const timer = setTimeout(() => {
        line.splice(line.indexOf(begin), 1);
        reject(new ServiceUnavailable());
      }, this.patienceMilliseconds);
      line.push(begin);
    });
  }

  private passOn(key: string): void {
    const begin = this.lines.get(key)?.shift();
    if (begin === undefined) this.lines.delete(key);
    else begin();
  }
}
